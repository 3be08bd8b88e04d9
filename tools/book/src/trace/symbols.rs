//! Which line of a listing a call comes from: what its frames say, looked up in the programs' debug information.

use std::collections::HashMap;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use addr2line::Context as Lines;
use anyhow::{Context, Result};
use gimli::{Dwarf, EndianArcSlice, RunTimeEndian};
use object::{Object, ObjectSection, ObjectSegment};

use super::syntax::{Frame, RawCall};
use crate::story::SourceLine;

/// The debug information of the programs, each read once, when it is needed first.
pub struct Symbols {
    root: PathBuf,
    binaries: HashMap<String, Option<Binary>>,
    known: HashMap<(String, u64), Option<SourceLine>>,
}

struct Binary {
    lines: Lines<EndianArcSlice<RunTimeEndian>>,
    segments: Vec<Segment>,
}

/// A part of the file, and where it is in memory, beside the others.
struct Segment {
    offset: u64,
    length: u64,
    address: u64,
}

impl Symbols {
    /// `root` is the project's folder as the compiler knew it, and absolute.
    pub fn new(root: &Path) -> Symbols {
        Symbols {
            root: root.to_owned(),
            binaries: HashMap::new(),
            known: HashMap::new(),
        }
    }

    /// The innermost line of a listing that the call was made by. Fails if a program cannot be read.
    pub fn source(&mut self, call: &RawCall) -> Result<Option<SourceLine>> {
        for frame in &call.frames {
            let key = (frame.binary.clone(), frame.offset);
            let line = match self.known.get(&key) {
                Some(line) => line.clone(),
                None => {
                    let line = self.look_up(frame)?;
                    self.known.insert(key, line.clone());
                    line
                }
            };
            if line.is_some() {
                return Ok(line);
            }
        }
        Ok(None)
    }

    fn look_up(&mut self, frame: &Frame) -> Result<Option<SourceLine>> {
        // `[vdso]`, say.
        if !frame.binary.starts_with('/') {
            return Ok(None);
        }
        if !self.binaries.contains_key(&frame.binary) {
            let binary = Binary::read(Path::new(&frame.binary))
                .with_context(|| format!("cannot read the symbols of {}", frame.binary))?;
            self.binaries.insert(frame.binary.clone(), binary);
        }
        let Some(Some(binary)) = self.binaries.get(&frame.binary) else {
            return Ok(None);
        };
        for (file, line) in binary.places(frame.offset)? {
            if let Some(file) = listing_file(&self.root, Path::new(&file)) {
                return Ok(Some(SourceLine { file, line }));
            }
        }
        Ok(None)
    }
}

impl Binary {
    /// None if it has no debug information, as a system's libraries.
    fn read(path: &Path) -> Result<Option<Binary>> {
        let bytes = fs::read(path)?;
        let file = object::File::parse(bytes.as_slice())?;
        if file.section_by_name(".debug_info").is_none() {
            return Ok(None);
        }
        let endian = match file.is_little_endian() {
            true => RunTimeEndian::Little,
            false => RunTimeEndian::Big,
        };
        let dwarf = Dwarf::load(|section| -> object::read::Result<_> {
            let data = match file.section_by_name(section.name()) {
                Some(section) => Arc::from(&*section.uncompressed_data()?),
                None => Arc::from([].as_slice()),
            };
            Ok(EndianArcSlice::new(data, endian))
        })?;
        let segments = file.segments().map(|segment| {
            let (offset, length) = segment.file_range();
            Segment {
                offset,
                length,
                address: segment.address(),
            }
        });
        Ok(Some(Binary {
            lines: Lines::from_dwarf(dwarf)?,
            segments: segments.collect(),
        }))
    }

    /// The lines that the code before `offset` in the file comes from, the innermost first: functions may be inlined in others.
    fn places(&self, offset: u64) -> Result<Vec<(String, u32)>> {
        // A frame says where the call returns to, which may be another line already: the call is before that.
        let Some(address) = offset
            .checked_sub(1)
            .and_then(|offset| self.address(offset))
        else {
            return Ok(Vec::new());
        };
        let mut places = Vec::new();
        let mut frames = self.lines.find_frames(address).skip_all_loads()?;
        while let Some(frame) = frames.next()? {
            if let Some(location) = frame.location
                && let (Some(file), Some(line)) = (location.file, location.line)
            {
                places.push((file.to_owned(), line));
            }
        }
        Ok(places)
    }

    /// Where what is at `offset` in the file is in the debug information's terms. Linkers shift segments by a page or more.
    fn address(&self, offset: u64) -> Option<u64> {
        let is_here = |segment: &&Segment| {
            segment.offset <= offset && offset - segment.offset < segment.length
        };
        let segment = self.segments.iter().find(is_here)?;
        segment.address.checked_add(offset - segment.offset)
    }
}

/// `listings/echo/src/bin/server.rs`, if `file` is such a one below `root`.
fn listing_file(root: &Path, file: &Path) -> Option<String> {
    let file = file.strip_prefix(root).ok()?;
    let mut parts = Vec::new();
    for part in file.components() {
        let Component::Normal(part) = part else {
            return None;
        };
        parts.push(part.to_str()?);
    }
    let is_listings = matches!(parts.as_slice(), ["listings", _, "src", _, ..]);
    is_listings.then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::super::syntax::tests::one;
    use super::*;

    #[test]
    fn only_sources_of_listings_are_named() {
        let name = |file| listing_file(Path::new("/home/me/book"), Path::new(file));
        assert_eq!(
            name("/home/me/book/listings/echo/src/bin/server.rs").as_deref(),
            Some("listings/echo/src/bin/server.rs")
        );
        assert_eq!(name("/home/me/book/listings/echo/tests/echo.rs"), None);
        assert_eq!(
            name("/home/me/book/listings/echo/src/../../../../x/src/y.rs"),
            None
        );
        assert_eq!(name("/home/me/book/tools/book/src/main.rs"), None);
        assert_eq!(name("/rustc/1234/library/std/src/net/tcp.rs"), None);
        assert_eq!(name("listings/echo/src/bin/server.rs"), None);
    }

    /// This test is a program with debug information, too, and the kernel knows where in the file its code is, as it tells
    /// strace.
    #[test]
    #[cfg(all(target_os = "linux", debug_assertions))]
    fn an_offset_in_the_file_leads_to_the_line() {
        #[inline(never)]
        fn here() -> u32 {
            line!()
        }
        let function = here as fn() -> u32 as usize as u64;
        let hexadecimal = |text| u64::from_str_radix(text, 16).unwrap();
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let offset = maps.lines().find_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (begin, end) = words[0].split_once('-').unwrap();
            let (begin, end) = (hexadecimal(begin), hexadecimal(end));
            let is_here = begin <= function && function < end;
            is_here.then(|| function - begin + hexadecimal(words[2]))
        });

        let path = std::env::current_exe().unwrap();
        let binary = Binary::read(&path).unwrap().unwrap();
        let places = binary.places(offset.unwrap() + 1).unwrap();

        let (file, line) = &places[0];
        assert!(file.ends_with("tools/book/src/trace/symbols.rs"), "{file}");
        assert!((here() - 1..=here() + 1).contains(line), "line {line}");
        assert_eq!(binary.places(0).unwrap(), []);
        assert_eq!(binary.places(u64::MAX).unwrap(), []);
    }

    #[test]
    fn calls_outside_of_programs_have_no_line() {
        let mut symbols = Symbols::new(Path::new("/"));
        let mut call = one("close(3) = 0 <0.000000001>");
        assert_eq!(symbols.source(&call).unwrap(), None);
        call.frames.push(Frame {
            binary: "[vdso]".to_owned(),
            symbol: String::new(),
            offset: 1,
        });
        assert_eq!(symbols.source(&call).unwrap(), None);
    }
}
