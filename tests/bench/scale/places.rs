//! Who may call next.

use std::collections::VecDeque;
use std::sync::Mutex;

use tokio::sync::oneshot;

/// A number of places for those who call at the same time.
pub struct Places {
    order: Order,
    state: Mutex<State>,
}

/// In which order those who wait are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As they came.
    Arrival,
    /// New tasks and those under way in turn, as the operator serves them.
    InTurn,
}

/// Who waits.
#[derive(Clone, Copy)]
pub enum Caller {
    NewTask,
    TaskUnderWay,
}

struct State {
    free: usize,
    waiting: [VecDeque<oneshot::Sender<()>>; 2],
    turn: usize,
}

/// One that is taken.
pub struct Place<'a>(&'a Places);

impl Places {
    pub fn new(count: usize, order: Order) -> Self {
        Self { order, state: Mutex::new(State { free: count, waiting: Default::default(), turn: 0 }) }
    }

    pub async fn acquire(&self, caller: Caller) -> Place<'_> {
        let waiting = {
            let mut state = self.state.lock().unwrap();
            if state.free > 0 {
                state.free -= 1;
                None
            } else {
                let (sender, receiver) = oneshot::channel();
                let line = match (self.order, caller) {
                    (Order::InTurn, Caller::TaskUnderWay) => 1,
                    _ => 0,
                };
                state.waiting[line].push_back(sender);
                Some(receiver)
            }
        };
        if let Some(receiver) = waiting {
            receiver.await.expect("each who waits is given a place");
        }
        Place(self)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock().unwrap();
        for _ in 0..2 {
            state.turn = 1 - state.turn;
            let line = state.turn;
            if let Some(next) = state.waiting[line].pop_front() {
                let _ = next.send(()); // nobody who waits goes away
                return;
            }
        }
        state.free += 1;
    }
}
