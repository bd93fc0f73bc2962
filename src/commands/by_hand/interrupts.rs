//! Ctrl-C while a program by hand runs: the first one ends it in order, the second one at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{SignalKind, signal};

/// What a shell shows of a process that was ended by SIGINT.
const ENDED_BY_INTERRUPT: i32 = 130;

/// Whether Ctrl-C was pressed, or the process was asked to end.
pub struct Interrupts(Arc<AtomicBool>);

impl Interrupts {
    /// From now on. A thread of its own waits for them: the caller looks now and then.
    pub fn listen() -> io::Result<Interrupts> {
        let pressed = Arc::new(AtomicBool::new(false));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let inside = runtime.enter();
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        drop(inside);
        let flag = pressed.clone();
        std::thread::Builder::new().name("interrupts".to_owned()).spawn(move || {
            runtime.block_on(async {
                loop {
                    tokio::select! {
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                    }
                    if flag.swap(true, Ordering::Relaxed) {
                        std::process::exit(ENDED_BY_INTERRUPT);
                    }
                }
            });
        })?;
        Ok(Interrupts(pressed))
    }

    pub fn pressed(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
