//! Capturing: a packet socket (packet(7)) that sees all of the loopback interface of this process's network namespace.

/// How many packets are kept: a replay tells far fewer.
const PACKETS: usize = 20_000;

/// Packets are kept whole until they have this many bytes together, so that TLS can be followed through long ones; then only their
/// beginning is.
const BYTES: usize = 16 * 1024 * 1024;

/// The beginning: all headers, and more data than a replay shows.
const BEGINNING: usize = 512;

/// An IP packet as it was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Datagram {
    /// Nanoseconds since the Unix epoch, by the kernel's clock of real time.
    pub time: u64,
    /// Its bytes, as sent.
    pub length: usize,
    /// The first of them.
    pub bytes: Vec<u8>,
}

/// What has been captured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// In the order in which they were sent.
    pub datagrams: Vec<Datagram>,
    /// How many more there were, which were not kept.
    pub left_out: usize,
    /// How many copies the kernel dropped because they were not fetched in time. It has two of each packet.
    pub dropped: u32,
    /// Bytes of `datagrams`.
    kept: usize,
}

impl Captured {
    pub(super) fn push(&mut self, time: u64, length: usize, bytes: &[u8]) {
        if self.datagrams.len() == PACKETS {
            self.left_out += 1;
            return;
        }
        let room = BYTES.saturating_sub(self.kept).max(BEGINNING);
        let bytes = &bytes[..bytes.len().min(room)];
        self.kept += bytes.len();
        // Two processors' clocks may differ by a little; the order in which packets were queued is right.
        let time = self
            .datagrams
            .last()
            .map_or(time, |last| time.max(last.time));
        self.datagrams.push(Datagram {
            time,
            length,
            bytes: bytes.to_vec(),
        });
    }
}

#[cfg(not(target_os = "linux"))]
pub struct Capture;

#[cfg(not(target_os = "linux"))]
impl Capture {
    pub fn start() -> anyhow::Result<Capture> {
        anyhow::bail!("cannot capture packets: only Linux can");
    }

    pub fn end(self) -> anyhow::Result<Captured> {
        Ok(Captured::default())
    }
}

#[cfg(target_os = "linux")]
pub use linux::Capture;

#[cfg(target_os = "linux")]
mod linux {
    use std::io::{IoSliceMut, PipeReader, PipeWriter};
    use std::os::fd::{AsRawFd, OwnedFd};
    use std::thread::JoinHandle;
    use std::time::{SystemTime, UNIX_EPOCH};

    use anyhow::{Context, Result, anyhow};
    use nix::errno::Errno;
    use nix::net::if_::if_nametoindex;
    use nix::sys::socket::sockopt::{RcvBuf, RcvBufForce, ReceiveTimestampns, RxqOvfl};
    use nix::sys::socket::{
        AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType,
        recvmsg, setsockopt, socket,
    };
    use nix::sys::time::TimeSpec;
    use rustix::event::{PollFd, PollFlags, poll};

    use super::Captured;

    /// How much the kernel may keep for us. Only the machine's own root gets so much; others get `net.core.rmem_max`.
    const KERNEL_BUFFER: usize = 64 * 1024 * 1024;

    /// The longest packet there is on loopback is a little over 64 KiB.
    const LONGEST: usize = 128 * 1024;

    /// How many packets are fetched before looking whether the capture is over.
    const BATCH: usize = 256;

    /// `PACKET_OUTGOING` of packet(7): the copy of a packet that is made when it is sent. Loopback shows a second one when it arrives.
    const OUTGOING: u8 = 4;

    /// A capture that goes on, in a thread of its own: a kernel's buffer of the usual size overflows within a few hundred packets.
    pub struct Capture {
        stop: PipeWriter,
        reader: JoinHandle<Result<Captured>>,
    }

    impl Capture {
        /// Captures what is sent from now on. Needs `CAP_NET_RAW` in the network namespace of the thread that calls it.
        pub fn start() -> Result<Capture> {
            // The socket has no address to bind to in safe Rust, so it sees all interfaces; `receive` picks loopback.
            let socket = socket(
                AddressFamily::Packet,
                SockType::Datagram,
                SockFlag::SOCK_CLOEXEC,
                SockProtocol::EthAll,
            )
            .context("cannot capture packets: that needs CAP_NET_RAW in a network namespace of one's own")?;
            let prepare = || -> nix::Result<usize> {
                setsockopt(&socket, ReceiveTimestampns, &true)?;
                setsockopt(&socket, RxqOvfl, &1)?;
                setsockopt(&socket, RcvBufForce, &KERNEL_BUFFER)
                    .or_else(|_| setsockopt(&socket, RcvBuf, &KERNEL_BUFFER))?;
                Ok(if_nametoindex("lo")? as usize)
            };
            let loopback = prepare().context("cannot prepare the capture of loopback")?;
            let (stopped, stop) = std::io::pipe().context("cannot make a pipe")?;
            let reader = std::thread::Builder::new()
                .name("capture".into())
                .spawn(move || read(&socket, &stopped, loopback))
                .context("cannot start the thread that captures")?;
            Ok(Capture { stop, reader })
        }

        /// All that was sent before this is called.
        pub fn end(self) -> Result<Captured> {
            drop(self.stop);
            self.reader
                .join()
                .map_err(|_| anyhow!("the capture has panicked"))?
                .context("cannot capture packets")
        }
    }

    fn read(socket: &OwnedFd, stopped: &PipeReader, loopback: usize) -> Result<Captured> {
        let mut captured = Captured::default();
        let mut buffer = vec![0; LONGEST];
        let mut control = nix::cmsg_space!(TimeSpec, u32);
        let mut end = None;
        loop {
            if end.is_none() {
                let mut ready = [
                    PollFd::new(socket, PollFlags::IN),
                    PollFd::new(stopped, PollFlags::IN),
                ];
                rustix::io::retry_on_intr(|| poll(&mut ready, None))?;
                if !ready[1].revents().is_empty() {
                    end = Some(now());
                }
            }
            for _ in 0..BATCH {
                match receive(socket, &mut buffer, &mut control)? {
                    Some(one) => {
                        captured.dropped = captured.dropped.max(one.dropped);
                        if end.is_some_and(|end| one.time > end) {
                            return Ok(captured);
                        }
                        if one.interface == loopback && one.kind == OUTGOING {
                            let kept = &buffer[..one.length.min(LONGEST)];
                            captured.push(one.time, one.length, kept);
                        }
                    }
                    None if end.is_some() => return Ok(captured),
                    None => break,
                }
            }
        }
    }

    /// What the kernel says about one copy of a packet.
    struct Received {
        time: u64,
        length: usize,
        interface: usize,
        kind: u8,
        dropped: u32,
    }

    /// The next copy that is there, if there is one; its bytes are in `buffer`.
    fn receive(
        socket: &OwnedFd,
        buffer: &mut [u8],
        control: &mut [u8],
    ) -> Result<Option<Received>> {
        let mut slices = [IoSliceMut::new(buffer)];
        // With MSG_TRUNC the kernel says how long a packet is even if it does not fit.
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC;
        let message =
            match recvmsg::<LinkAddr>(socket.as_raw_fd(), &mut slices, Some(control), flags) {
                Ok(message) => message,
                Err(Errno::EAGAIN | Errno::EINTR) => return Ok(None),
                Err(error) => return Err(error.into()),
            };
        let mut received = Received {
            time: now(),
            length: message.bytes,
            interface: message.address.map_or(0, |address| address.ifindex()),
            kind: message.address.map_or(0, |address| address.pkttype()),
            dropped: 0,
        };
        for control in message.cmsgs()? {
            match control {
                ControlMessageOwned::ScmTimestampns(time) => {
                    let seconds = u64::try_from(time.tv_sec()).unwrap_or_default();
                    let nanoseconds = u64::try_from(time.tv_nsec()).unwrap_or_default();
                    received.time = seconds * 1_000_000_000 + nanoseconds;
                }
                ControlMessageOwned::RxqOvfl(dropped) => received.dropped = dropped,
                _ => {}
            }
        }
        Ok(Some(received))
    }

    /// Nanoseconds since the Unix epoch.
    fn now() -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::{BEGINNING, BYTES, Captured, PACKETS};

    #[test]
    fn a_capture_keeps_no_more_than_it_may() {
        let mut captured = Captured::default();
        let packet = vec![0; 65_536];
        for time in 0..PACKETS + 3 {
            captured.push(time as u64, packet.len(), &packet);
        }
        assert_eq!(captured.datagrams.len(), PACKETS);
        assert_eq!(captured.left_out, 3);
        let kept: usize = captured.datagrams.iter().map(|one| one.bytes.len()).sum();
        assert!(kept <= BYTES + PACKETS * BEGINNING, "{kept}");
        assert_eq!(captured.datagrams[0].bytes.len(), 65_536);
        assert_eq!(captured.datagrams[PACKETS - 1].bytes.len(), BEGINNING);
        assert_eq!(captured.datagrams[PACKETS - 1].length, 65_536);
    }

    #[test]
    fn times_never_run_backwards() {
        let mut captured = Captured::default();
        captured.push(5, 1, &[0]);
        captured.push(4, 1, &[0]);
        assert_eq!(captured.datagrams[1].time, 5);
    }
}
