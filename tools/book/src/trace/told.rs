//! What of all that a program asks of the system belongs in its story.

use super::descriptor::{Descriptor, Kind, descriptors, is_look_up};
use super::syntax::RawCall;
use crate::story::SourceLine;

/// Whether `call`, which `source` made, is part of the story: what a listing does to internet sockets, to its terminal and to
/// wait, and not how the loader, the standard library and an async runtime keep house.
pub fn is_told(call: &RawCall, source: Option<&SourceLine>) -> bool {
    if is_look_up(call) {
        return false;
    }
    let argument = |number: usize| call.arguments.get(number).map(String::as_str);
    let descriptor = argument(0).and_then(Descriptor::parse);
    let is_internet = descriptor
        .as_ref()
        .is_some_and(|each| each.kind.is_internet());
    match call.name.as_str() {
        "exit_group" | "socketpair" => false,
        "socket" => matches!(argument(0), Some(family) if !is_local(family)),
        "clock_nanosleep" | "nanosleep" => source.is_some(),
        "epoll_wait" | "epoll_pwait" | "epoll_pwait2" => source.is_some(),
        "epoll_ctl" => {
            let target = argument(2).and_then(Descriptor::parse);
            source.is_some() && target.is_some_and(|target| is_of_interest(&target))
        }
        "poll" | "ppoll" => {
            source.is_some() && descriptors(call).iter().any(|each| each.kind.is_internet())
        }
        "write" | "writev" => {
            is_internet
                || descriptor.is_some_and(|each| matches!(each.number, 1 | 2) && each.is_terminal())
        }
        _ => is_internet,
    }
}

fn is_local(family: &str) -> bool {
    matches!(family, "AF_UNIX" | "AF_LOCAL" | "AF_NETLINK")
}

/// Not what an async runtime wakes itself with.
fn is_of_interest(descriptor: &Descriptor) -> bool {
    !matches!(
        descriptor.kind,
        Kind::Eventfd | Kind::Unix | Kind::Pipe | Kind::Netlink | Kind::Epoll
    )
}

impl Descriptor {
    /// Whether it can be stdout or stderr, which may be a pipe, a file or a terminal.
    pub fn is_terminal(&self) -> bool {
        !matches!(
            self.kind,
            Kind::Socket { .. } | Kind::Netlink | Kind::Eventfd | Kind::Epoll
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::syntax::{Frame, tests::one};
    use super::*;

    fn told(line: &str) -> bool {
        is_told(&one(line), None)
    }

    fn told_of_a_listing(line: &str) -> bool {
        let source = SourceLine {
            file: "listings/echo/src/bin/server.rs".to_owned(),
            line: 1,
        };
        is_told(&one(line), Some(&source))
    }

    #[test]
    fn calls_on_internet_sockets_are_told() {
        for line in [
            "socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_IP) = 3<TCP:[61270982]> <0.000019901>",
            "socket(AF_INET6, SOCK_STREAM, IPPROTO_IP) = -1 EAFNOSUPPORT (Address family not supported by protocol) <0.000019901>",
            "listen(3<TCP:[127.0.0.1:8001]>, 128) = 0 <0.000022445>",
            "close(4<TCPv6:[[::1]:8001->[::1]:58170]>) = 0 <0.002115896>",
            "read(4<TCP:[127.0.0.1:8001->127.0.0.1:58170]>, \"\", 9) = 0 <0.002115896>",
            "recvfrom(3<UDP:[127.0.0.1:17]>, 0x7ffdc74e95d0, 1200, 0, 0x7ffdc74e92c0, [128]) = -1 EAGAIN (Resource temporarily unavailable) <0.201131315>",
        ] {
            assert!(told(line), "{line}");
        }
    }

    #[test]
    fn what_is_printed_is_told() {
        for line in [
            "write(1<pipe:[61407538]>, \"listening\\n\", 10) = 10 <0.000029375>",
            "write(2</dev/pts/0<char 136:0>>, \"5\", 1) = 1 <0.000029375>",
            "write(2<UNIX-STREAM:[6->7]>, \"5\", 1) = 1 <0.000029375>",
        ] {
            assert!(told(line), "{line}");
        }
    }

    #[test]
    fn housekeeping_is_not_told_even_if_a_listing_causes_it() {
        for line in [
            "read(3</proc/18470/maps>, \"55e834dfd000\"..., 1024) = 1024 <0.000012506>",
            "close(3</etc/ld.so.cache>) = 0 <0.000005741>",
            "close(3) = -1 EBADF (Bad file descriptor) <0.000005741>",
            "write(4<anon_inode:[eventfd]>, \"\\1\\0\\0\\0\\0\\0\\0\\0\", 8) = 8 <0.000009822>",
            "write(7<UNIX-STREAM:[6->7]>, \"\\1\", 1) = 1 <0.000009822>",
            "socket(AF_NETLINK, SOCK_RAW|SOCK_CLOEXEC, NETLINK_ROUTE) = 3<NETLINK:[ROUTE:1]> <0.000009822>",
            "socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0) = 3<UNIX-STREAM:[61406747]> <0.000018572>",
            "socketpair(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC|SOCK_NONBLOCK, 0, [6<UNIX-STREAM:[1->2]>, 7<UNIX-STREAM:[2->1]>]) = 0 <0.003966294>",
            "epoll_ctl(3<anon_inode:[eventpoll]>, EPOLL_CTL_ADD, 4<anon_inode:[eventfd]>, {events=EPOLLIN, data={u32=0, u64=0}}) = 0 <0.000022030>",
            "poll([{fd=0</dev/null<char 1:3>>, events=0}, {fd=1<pipe:[1]>, events=0}], 2, 0) = 0 (Timeout) <0.000009056>",
            "exit_group(0)      = ?",
        ] {
            assert!(!told_of_a_listing(line), "{line}");
        }
    }

    #[test]
    fn waiting_is_told_if_a_listing_waits() {
        for line in [
            "clock_nanosleep(CLOCK_MONOTONIC, 0, {tv_sec=0, tv_nsec=10000000}, 0x7ffc35dada58) = 0 <0.010078747>",
            "epoll_wait(3<anon_inode:[eventpoll]>, [], 1024, 100) = 0 <0.100131315>",
            "epoll_ctl(5<anon_inode:[eventpoll]>, EPOLL_CTL_DEL, 11<TCP:[127.0.0.1:8001->127.0.0.1:41138]>, NULL) = 0 <0.000024521>",
            "poll([{fd=3<TCP:[127.0.0.1:47556->127.0.0.1:8080]>, events=POLLOUT}], 1, 4999) = 1 ([{fd=3, revents=POLLOUT}]) <0.002112924>",
        ] {
            assert!(told_of_a_listing(line), "{line}");
            assert!(!told(line), "{line}");
        }
    }

    #[test]
    fn what_a_look_up_does_is_not_told() {
        let mut call = one(
            "connect(3<UDP:[1]>, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr(\"127.0.0.1\")}, 16) = 0 <0.000103862>",
        );
        assert!(is_told(&call, None));
        call.frames.push(Frame {
            binary: "/usr/lib/x86_64-linux-gnu/libc.so.6".to_owned(),
            symbol: "getaddrinfo".to_owned(),
            offset: 1,
        });
        assert!(!is_told(&call, None));
    }
}
