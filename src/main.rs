//! The program: parse arguments, run; nothing else.

use mimalloc::MiMalloc;

/// Ten thousand objects come and go in pieces of all sizes. glibc's allocator spends a third of all time on looking for room,
/// and gives little of it back.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> std::process::ExitCode {
    django_operator::cli::main()
}
