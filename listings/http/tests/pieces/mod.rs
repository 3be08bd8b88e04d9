//! A stream whose bytes arrive in pieces.

use std::io::{self, Read, Write};

/// Gives `bytes` to whoever reads, in pieces of these `sizes` over and over. A size of 0 is a
/// call that a signal has interrupted. What is written is kept.
pub struct Pieces<'a> {
    bytes: &'a [u8],
    sizes: std::iter::Cycle<std::slice::Iter<'a, usize>>,
    pub written: Vec<u8>,
}

impl<'a> Pieces<'a> {
    pub fn new(bytes: &'a [u8], sizes: &'a [usize]) -> Pieces<'a> {
        assert!(sizes.iter().any(|size| *size > 0), "nothing would come");
        Pieces {
            bytes,
            sizes: sizes.iter().cycle(),
            written: vec![],
        }
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = *self.sizes.next().expect("a size");
        if size == 0 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let length = size.min(buffer.len()).min(self.bytes.len());
        let (piece, rest) = self.bytes.split_at(length);
        buffer[..length].copy_from_slice(piece);
        self.bytes = rest;
        Ok(length)
    }
}

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
