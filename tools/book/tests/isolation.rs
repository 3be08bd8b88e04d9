//! The book is built without a network, without sending anything, without IPv6, and without privileges.
//!
//! `unshare` and `ip` (util-linux, iproute2) make the machines for that: namespaces of the kernel, which end with their last process.

mod repository;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A network of its own, in which there is only the loopback interface, and files of its own.
const ALONE: [&str; 5] = ["unshare", "--map-root-user", "--net", "--mount", "--"];

const LOOPBACK: &str = "ip link set lo up\n";

/// An interface that leads nowhere, and by which everything goes that does not stay on the machine, questions to a name server included:
/// nobody on the machine can be asked for names. `dummy` would do, but not every kernel has it.
const INTERFACE: &str = r#"
ip link add out0 type veth peer name out1 || ip link add out0 type dummy
if [ -e /proc/sys/net/ipv6 ]; then
    echo 1 > /proc/sys/net/ipv6/conf/out0/disable_ipv6
fi
ip address add 192.0.2.1/24 dev out0
ip link set out0 arp off up
if [ -e /sys/class/net/out1 ] || ip link show out1 > /dev/null 2>&1; then
    echo 1 > /proc/sys/net/ipv6/conf/out1/disable_ipv6
    ip link set out1 up
fi
ip route add default via 192.0.2.254 dev out0

mount -t tmpfs none /run
names=$(readlink -m /etc/resolv.conf)
mkdir -p "$(dirname "$names")"
[ -e "$names" ] || : > "$names"
printf 'nameserver 192.0.2.53\noptions timeout:1 attempts:1\n' > "$FOLDER/resolv.conf"
mount --bind "$FOLDER/resolv.conf" "$names"
printf 'hosts: files dns\n' > "$FOLDER/nsswitch.conf"
mount --bind "$FOLDER/nsswitch.conf" /etc/nsswitch.conf

sent() {
    sed -n 's/^ *out0://p' /proc/net/dev | awk '{ print $10 }'
}
"#;

const NO_IPV6: &str = r#"
for every in /proc/sys/net/ipv6/conf/*/disable_ipv6; do
    [ ! -e "$every" ] || echo 1 > "$every"
done
if [ -s /proc/net/if_inet6 ]; then
    echo "there is IPv6 still" >&2
    exit 1
fi
"#;

const BUILD: &str = "\"$BOOK\" build --fresh --dest-dir \"$FOLDER/pages\"\n";

/// Runs a script for `sh`, under the command `within`, in the folder `root`. It knows `$BOOK`, the tool, and `$FOLDER`, an empty one.
/// Returns what it printed on stdout.
#[track_caller]
fn run(within: &[&str], root: &Path, script: &str, variables: &[(&str, &Path)]) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let shell = ["sh", "-euc", script];
    let mut words = within.iter().chain(&shell);
    let mut command = Command::new(words.next().expect("a program"));
    command
        .args(words)
        .env("BOOK", env!("CARGO_BIN_EXE_book"))
        .env("CARGO", env!("CARGO"))
        .env("CARGO_NET_OFFLINE", "true")
        .env("FOLDER", folder.path())
        .envs(variables.iter().copied())
        .current_dir(root);
    let output = command.output().expect("the program starts");
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{}\n{stdout}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    stdout
}

#[test]
#[ignore = "needs unshare"]
fn the_book_builds_without_a_network() {
    let script = format!("{LOOPBACK}\n{BUILD}");
    run(&ALONE, &repository::root(), &script, &[]);
}

#[test]
#[ignore = "needs unshare"]
fn building_the_book_sends_nothing_off_the_machine() {
    // The last look-up is there to show that one would be seen. Its name is nobody's (RFC 6761, section 6.4).
    let script = format!(
        "{LOOPBACK}{INTERFACE}
        sent
        {BUILD}
        sent
        target/book/programs/resolve/*/resolve nobody.invalid >&2 || :
        sent"
    );
    let sent = run(&ALONE, &repository::root(), &script, &[]);
    let sent: Vec<u64> = sent
        .lines()
        .map(|line| line.parse().expect("a number"))
        .collect();
    let [0, built, looked_up] = sent[..] else {
        panic!("the interface was in use before: {sent:?}");
    };
    assert_eq!(built, 0, "packets were sent");
    assert!(looked_up > 0, "a look-up is not counted: {sent:?}");
}

#[test]
#[ignore = "needs unshare"]
fn the_book_builds_and_its_listings_pass_their_tests_without_ipv6() {
    let packages: Vec<String> = repository::listings()
        .iter()
        .map(|listing| format!("--package {listing}"))
        .collect();
    let script = format!(
        "{LOOPBACK}{NO_IPV6}{BUILD}
        \"$CARGO\" test {} >&2",
        packages.join(" ")
    );
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("isolation");
    let variables = [("CARGO_TARGET_DIR", target.as_path())];
    run(&ALONE, &repository::root(), &script, &variables);
}

/// If these tests are run by root, the build is not: it gets nobody's rights, and a copy of all that it needs and may not reach.
#[test]
#[ignore = "needs unshare"]
fn the_book_builds_for_an_ordinary_user() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let inside = |name: &str| -> PathBuf { folder.path().join(name) };
    let copy = inside("copy");
    repository::copy(&repository::root(), &copy);
    for name in ["home", "temporary", "cargo", "toolchain"] {
        fs::create_dir(inside(name)).expect("a new folder");
    }
    let book = inside("book");
    fs::copy(env!("CARGO_BIN_EXE_book"), &book).expect("the tool");
    let everybody = fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder.path(), everybody).expect("permissions");

    let variables = [
        ("FOLDER", folder.path()),
        ("BOOK", &book),
        ("HOME", &inside("home")),
        ("TMPDIR", &inside("temporary")),
    ];
    let script = format!("[ \"$(id -u)\" != 0 ]\n{BUILD}");
    if rustix::process::getuid().is_root() {
        let within = ["unshare", "--mount", "--", "sh", "-euc", AS_NOBODY, "sh"];
        run(&within, &copy, &script, &variables);
    } else {
        run(&["env"], &copy, &script, &variables);
    }
}

/// Runs its arguments as nobody, who cannot look into root's home.
const AS_NOBODY: &str = r#"
chown -R 65534:65534 "$FOLDER"
mount --bind "$(rustc --print sysroot)" "$FOLDER/toolchain"
roots=~root/.cargo
mount --bind "${CARGO_HOME:-$roots}" "$FOLDER/cargo"
export CARGO_HOME="$FOLDER/cargo" PATH="$FOLDER/toolchain/bin:$PATH" CARGO="$FOLDER/toolchain/bin/cargo"
unset RUSTUP_TOOLCHAIN RUSTUP_HOME
exec setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all -- "$@"
"#;
