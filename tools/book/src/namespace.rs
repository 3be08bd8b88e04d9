//! A scene's own little internet: a network namespace (network_namespaces(7)) in which there is nothing but loopback. Every port is
//! free there, nothing can leave the machine, and two builds cannot meet. Only Linux has that, and not every Linux allows it to
//! everybody. A reader's programs have process numbers of their own besides (pid_namespaces(7)): when the first process of such a
//! namespace ends, the kernel ends all others, however many there are, and wherever they hide.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

/// Whether this system lets the tool have this of its own: tried by another process, since there is no way back.
pub fn is_possible(tool: &Path, own: Own) -> Result<()> {
    let output = Command::new(tool)
        .arg("namespace")
        .args((own != Own::Network).then_some("--processes"))
        .stdin(Stdio::null())
        .output()
        .context("cannot start this program again")?;
    let why = String::from_utf8_lossy(&output.stderr);
    let why = why.trim().trim_start_matches("error: ");
    ensure!(output.status.success(), "{why}");
    Ok(())
}

/// What a process can have of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Own {
    Network,
    Processes,
    Both,
}

/// Moves this process into a new network, and what it starts from now on; what it starts has new process numbers. It must have one
/// thread only. This process may then do in its little internet what root may; the programs that it starts may no more than they might
/// outside.
#[cfg(target_os = "linux")]
pub fn enter(own: Own) -> Result<()> {
    use std::fs;

    use nix::sched::{CloneFlags, unshare};
    use rustix::process::{getgid, getuid};

    let (user, group) = (getuid().as_raw(), getgid().as_raw());
    let bounds = bounds()?;
    // Whoever is not root may make a network namespace only inside a user namespace that is theirs (user_namespaces(7)).
    // Whoever has process numbers of their own needs a /proc that knows them (proc(5)).
    let processes = CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNS;
    let own_flags = match own {
        Own::Network => CloneFlags::CLONE_NEWNET,
        Own::Processes => processes,
        Own::Both => CloneFlags::CLONE_NEWNET | processes,
    };
    unshare(CloneFlags::CLONE_NEWUSER | own_flags)
        .context("this system does not allow user and network namespaces")?;
    // Everybody stays who they are.
    for (name, text) in [
        ("uid_map", format!("{user} {user} 1")),
        ("setgroups", "deny".into()),
        ("gid_map", format!("{group} {group} 1")),
    ] {
        fs::write(format!("/proc/self/{name}"), text)
            .with_context(|| format!("cannot write /proc/self/{name}"))?;
    }
    if own != Own::Processes {
        raise_loopback().context("cannot switch the loopback interface on")?;
    }
    keep_bounds(bounds)
}

#[cfg(not(target_os = "linux"))]
pub fn enter(_: Own) -> Result<()> {
    anyhow::bail!("only Linux has network namespaces")
}

/// Whether this process is the first one of its namespace.
pub fn is_first() -> bool {
    rustix::process::getpid().is_init()
}

/// Starts this program again with the same arguments, and ends as it does: after [`enter`], it is the first one of its namespace.
#[cfg(target_os = "linux")]
pub fn go_on_as_first(tool: &Path) -> Result<ExitCode> {
    use std::os::unix::process::CommandExt;

    use nix::mount::{MsFlags, mount};

    let mut first = Command::new(tool);
    first.args(std::env::args_os().skip(1));
    // SAFETY: between fork and exec only two system calls are made, and nothing is allocated.
    unsafe {
        first.pre_exec(|| {
            // Other processes go on seeing the /proc that they saw.
            let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
            mount(None::<&str>, "/", None::<&str>, private, None::<&str>)?;
            let harmless = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
            mount(Some("proc"), "/proc", Some("proc"), harmless, None::<&str>)?;
            Ok(())
        });
    }
    let status = first.status().context("cannot start this program again")?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

#[cfg(not(target_os = "linux"))]
pub fn go_on_as_first(_: &Path) -> Result<ExitCode> {
    anyhow::bail!("only Linux has process namespaces")
}

/// Which capabilities a program of this user can have at most (capabilities(7)).
#[cfg(target_os = "linux")]
fn bounds() -> Result<Vec<rustix::thread::CapabilitySet>> {
    use rustix::thread::{CapabilitySet, capability_is_in_bounding_set};

    let mut bounds = Vec::new();
    for capability in CapabilitySet::all().iter() {
        // The kernel may be older than the list.
        if capability_is_in_bounding_set(capability).unwrap_or(false) {
            bounds.push(capability);
        }
    }
    Ok(bounds)
}

/// Root of a new user namespace, and so every program that root starts in it, has all capabilities. Leaves only `bounds`.
#[cfg(target_os = "linux")]
fn keep_bounds(bounds: Vec<rustix::thread::CapabilitySet>) -> Result<()> {
    use rustix::thread::{
        CapabilitySet, capability_is_in_bounding_set, remove_capability_from_bounding_set,
    };

    for capability in CapabilitySet::all().iter() {
        if !bounds.contains(&capability)
            && capability_is_in_bounding_set(capability).unwrap_or(false)
        {
            remove_capability_from_bounding_set(capability).context("cannot give privileges up")?;
        }
    }
    Ok(())
}

/// Switches on the interface `lo`, which is off in a new namespace, as `ip link set lo up` would: a message RTM_NEWLINK to the kernel
/// (netlink(7), rtnetlink(7)).
#[cfg(target_os = "linux")]
fn raise_loopback() -> Result<()> {
    use std::io::{Read, Write};

    use socket2::{Domain, Protocol, Socket, Type};

    const AF_NETLINK: i32 = 16;
    const NETLINK_ROUTE: i32 = 0;
    const RTM_NEWLINK: u16 = 16;
    const NLM_F_REQUEST_AND_ACK: u16 = 1 | 4;
    const NLMSG_ERROR: u16 = 2;
    const IFF_UP: u32 = 1;
    /// The first interface of a namespace.
    const LOOPBACK: u32 = 1;
    const LENGTH: u32 = 32;

    let mut message = Vec::new();
    message.extend(LENGTH.to_ne_bytes());
    message.extend(RTM_NEWLINK.to_ne_bytes());
    message.extend(NLM_F_REQUEST_AND_ACK.to_ne_bytes());
    // Sequence number and sender; then family and type of the interface: none of them matters.
    message.extend([0; 12]);
    message.extend(LOOPBACK.to_ne_bytes());
    // The flags, and which of them are meant.
    message.extend(IFF_UP.to_ne_bytes());
    message.extend(IFF_UP.to_ne_bytes());

    let protocol = Protocol::from(NETLINK_ROUTE);
    let mut socket = Socket::new(Domain::from(AF_NETLINK), Type::DGRAM, Some(protocol))?;
    socket.write_all(&message)?;
    let mut answer = [0; 256];
    let length = socket.read(&mut answer)?;
    let answer = &answer[..length];
    let number = |from: usize| {
        Some(i32::from_ne_bytes(
            answer.get(from..from + 4)?.try_into().ok()?,
        ))
    };
    let kind = answer
        .get(4..6)
        .map(|kind| kind == NLMSG_ERROR.to_ne_bytes());
    ensure!(kind == Some(true), "the kernel does not confirm it");
    match number(16) {
        Some(0) => Ok(()),
        Some(error) => Err(std::io::Error::from_raw_os_error(-error).into()),
        None => anyhow::bail!("the kernel does not confirm it"),
    }
}
