//! Calls in flight together, as a queue has them: begun one after the other, moved, and ended in
//! another order, by no thread of their own.
//!
//! What begins without waiting begins; forced writes publish their entries before any data moves,
//! where they may; in the midst of the data's moving the flushes among the calls are made; then
//! what has begun ends, the last one first, and a forced write is made stable. Whatever would have
//! waited is called when the others have ended.

use super::run::{Runner, perform};
use crate::crash::guest::Call;
use crate::error::Result;
use crate::image::{Begun, Copying, Flags, Image};
use std::io::IoSlice;

/// A write that has begun.
struct Flight {
    number: u64,
    offset: u64,
    length: u64,
    bytes: Vec<u8>,
    forced: bool,
    begun: Begun,
    moved: Result<()>,
}

impl Runner {
    pub(super) fn queued(&self, calls: &[Call]) -> Result<()> {
        let image = self.image()?;
        let (mut flights, mut flushes, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for call in calls {
            match self.begin(&image, call) {
                Some(flight) => flights.push(flight),
                None if *call == Call::Flush => flushes.push(call),
                None => others.push(call),
            }
        }
        for flight in flights.iter_mut().filter(|flight| flight.forced) {
            flight.begun.take_early().map_or(Ok(()), |early| image.publish_early(early))?;
        }
        let half = flights.len() / 2;
        let (early, late) = flights.split_at_mut(half);
        early.iter_mut().for_each(|flight| flight.moves(&image));
        let flushed = flushes.into_iter().try_for_each(|call| self.call(call));
        late.iter_mut().for_each(|flight| flight.moves(&image));
        let mut moved = Ok(());
        for flight in flights.into_iter().rev() {
            image.end(flight.begun, flight.moved.is_ok());
            let done = match flight.moved {
                Ok(()) if flight.forced => image.pay(image.debt_of(flight.offset, flight.length)),
                moved => moved,
            };
            self.recorder.end(flight.number, done.is_ok());
            moved = moved.and(done);
        }
        flushed?;
        moved?;
        let number = |call: &Call| self.marked(call, |number| perform(&image, call, number));
        others.into_iter().try_for_each(number)
    }

    fn begin(&self, image: &Image, call: &Call) -> Option<Flight> {
        let Call::Write { offset, length, forced, .. } = call else { return None };
        let begun = image.begin_write(*offset, *length, Flags::NONE, Copying::ByCalls)?;
        let number = self.number(call);
        self.recorder.begin(number);
        let bytes = call.bytes(number).unwrap_or_default();
        let (offset, length, forced) = (*offset, *length, *forced);
        Some(Flight { number, offset, length, bytes, forced, begun, moved: Ok(()) })
    }
}

impl Flight {
    fn moves(&mut self, image: &Image) {
        if let Begun::Write(ticket, forced) = &self.begun {
            self.moved = image.move_write(ticket, *forced, &[IoSlice::new(&self.bytes)]);
        }
    }
}
