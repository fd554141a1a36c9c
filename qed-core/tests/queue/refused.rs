//! Where the system refuses io_uring. Method: this test program runs itself again, with a filter of
//! system calls in place, as a container has one.

use std::mem::offset_of;
use std::process::Command;

use qed_core::{Aio, CacheMode, Flags};

use crate::rig::{CLUSTER, Rig, finish, read, write};

const ROLE: &str = "QED_TEST_REFUSED_CALL";

#[test]
fn threads_take_over_where_a_ring_is_refused() {
    in_child("threads_take_over_where_a_ring_is_refused", libc::SYS_io_uring_setup, || {
        let rig = Rig::new(1 << 20, CacheMode::Writeback);
        let mut queue = rig.queue(Aio::IoUring, 8);
        assert_eq!(queue.engine(), Aio::Threads);
        let why = queue.fallback().unwrap().to_string();
        assert!(why.contains("not permitted"), "{why}");
        write(&mut queue, 5, 10_000, 7);
        assert_eq!(read(&mut queue, 4, 3), [0, 7, 7]);
        assert_eq!(rig.queue(Aio::Threads, 8).fallback(), None, "nothing else was asked for");
    });
}

#[test]
fn the_pool_takes_over_where_a_ring_takes_nothing() {
    in_child("the_pool_takes_over_where_a_ring_takes_nothing", libc::SYS_io_uring_enter, || {
        let rig = Rig::new(1 << 20, CacheMode::Writeback);
        rig.disk.pwrite(&[1; 8 * 4096], 0, Flags::NONE).unwrap();
        let mut queue = rig.queue(Aio::IoUring, 64);
        assert_eq!(queue.engine(), Aio::IoUring);
        for number in 0..16 {
            queue.writev(vec![7; 4096], number * CLUSTER, number, Flags::NONE).unwrap();
        }
        finish(&mut queue);
        write(&mut queue, 5, 10_000, 8);
        assert_eq!(read(&mut queue, 4, 3), [7, 8, 8]);
        queue.flush(0, Flags::NONE).unwrap();
        queue.submit();
        drop(queue);
    });
}

/// Runs `check` in a child process of its own, where `refused` fails with EPERM.
fn in_child(test: &str, refused: libc::c_long, check: fn()) {
    if std::env::var(ROLE).as_deref() == Ok(test) {
        refuse(u32::try_from(refused).unwrap());
        return check();
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    let name = format!("refused::{test}");
    let output = child.args(["--exact", &name, "--nocapture"]).env(ROLE, test).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}\n{errors}");
}

/// Has this thread, and those it starts, fail in the system call `number`.
fn refuse(number: u32) {
    let step = |code: u32, jump_true, jump_false, value| libc::sock_filter {
        code: u16::try_from(code).unwrap(),
        jt: jump_true,
        jf: jump_false,
        k: value,
    };
    let at = u32::try_from(offset_of!(libc::seccomp_data, nr)).unwrap();
    let fails = libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs();
    let mut steps = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, at),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, number),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, fails),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: 4, filter: steps.as_mut_ptr() };
    // SAFETY: the first call passes no memory; the second reads a program of four steps.
    let done = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
    };
    assert!(done, "{}", std::io::Error::last_os_error());
}
