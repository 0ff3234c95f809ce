//! The program: parse arguments, run; nothing else.

fn main() -> std::process::ExitCode {
    django_operator::cli::main()
}
