//! Ctrl-C: it ends the statement that runs, and the shell where none does.
//!
//! While a statement runs, a first Ctrl-C cancels it (the data of a COPY, too: what was sent of them must not be committed
//! because the program that wrote them ended by the same Ctrl-C), and a second one ends the process, which may be waiting
//! for a line or an answer that never comes. A script goes on after neither.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::SIGINT;
use signal_hook::flag;

/// What a shell's exit code is after Ctrl-C, by convention.
const EXIT_CODE: i32 = 130;

/// Whether somebody has pressed Ctrl-C. Clones share it.
#[derive(Clone)]
pub(super) struct Interrupt {
    /// No statement runs: the process ends.
    idle: Arc<AtomicBool>,
    /// It was pressed while the present statement ran.
    raised: Arc<AtomicBool>,
}

impl Interrupt {
    /// Listens from here on.
    pub(super) fn listen() -> io::Result<Interrupt> {
        let (idle, raised) = (Arc::new(AtomicBool::new(true)), Arc::default());
        flag::register_conditional_default(SIGINT, Arc::clone(&idle))?;
        flag::register_conditional_shutdown(SIGINT, EXIT_CODE, Arc::clone(&raised))?;
        flag::register(SIGINT, Arc::clone(&raised))?;
        Ok(Interrupt { idle, raised })
    }

    /// A statement begins.
    pub(super) fn begin(&self) {
        self.raised.store(false, Ordering::SeqCst);
        self.idle.store(false, Ordering::SeqCst);
    }

    /// The statement has ended. Whether it was interrupted, too late perhaps.
    pub(super) fn end(&self) -> bool {
        self.idle.store(true, Ordering::SeqCst);
        self.raised.swap(false, Ordering::SeqCst)
    }

    /// The present statement was interrupted.
    pub(super) fn is_raised(&self) -> bool {
        self.raised.load(Ordering::SeqCst)
    }
}
