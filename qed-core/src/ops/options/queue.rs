//! Options of queues, by name.

use super::{NamedOptions, Setting};
use crate::error::Result;
use crate::queue::QueueOptions;

impl NamedOptions {
    /// How a [`Queue`](crate::Queue) is to be made; its depth has no name, but an argument.
    ///
    /// # Errors
    /// An option is set that queues do not have.
    pub fn to_queue(&self) -> Result<QueueOptions> {
        self.check_all_apply("queue", |calls| calls.queue)?;
        let mut options = QueueOptions::default();
        for (_, setting) in self.set.values() {
            match setting {
                Setting::Aio(aio) => options.aio = *aio,
                Setting::Workers(workers) => options.workers = *workers as usize,
                _ => debug_assert!(false, "{setting:?} is none of a queue's"),
            }
        }
        Ok(options)
    }
}
