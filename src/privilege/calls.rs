//! The system calls that a proxy never makes, refused by the kernel from then on (seccomp).
//!
//! A list of what is refused, not of what is allowed: a runtime or a C library that learns a new way to wait must not stop
//! mail. What is on it is what an intruder needs for the next step (another program, another process's memory, another
//! name space, the kernel's own machinery), and it fails with EPERM, as it would without privileges.

use std::collections::BTreeMap;

use nix::libc::{self, c_long};
use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter_all_threads,
};

/// From now on, and in all threads, they fail.
pub(super) fn refuse() -> Result<(), Error> {
    // First, as the C library then falls back to the call whose flags can be seen.
    let absent = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    apply_filter_all_threads(&filter(absent, libc::ENOSYS)?)?;
    apply_filter_all_threads(&filter(refused()?, libc::EPERM)?)
}

fn filter(calls: BTreeMap<i64, Vec<SeccompRule>>, errno: i32) -> Result<BpfProgram, Error> {
    let refusal = SeccompAction::Errno(errno.unsigned_abs());
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let filter = SeccompFilter::new(with_x32(calls), SeccompAction::Allow, refusal, arch)?;
    Ok(filter.try_into()?)
}

/// No rule is always; those that there are, are each enough.
fn refused() -> Result<BTreeMap<i64, Vec<SeccompRule>>, Error> {
    let always = EVERYWHERE.iter().chain(HERE);
    let mut calls: BTreeMap<_, _> = always.map(|call| (*call, Vec::new())).collect();
    calls.insert(libc::SYS_clone, vec![no_thread()?]);
    Ok(calls)
}

/// What begins is a process of its own.
fn no_thread() -> Result<SeccompRule, Error> {
    let thread = u64::from(libc::CLONE_THREAD.unsigned_abs());
    let without = SeccompCmpOp::MaskedEq(thread);
    let flags = SeccompCondition::new(0, SeccompCmpArgLen::Qword, without, 0)?;
    Ok(SeccompRule::new(vec![flags])?)
}

/// An x86-64 kernel may know each call by a second number, under the same name of the architecture.
#[cfg(target_arch = "x86_64")]
fn with_x32(mut calls: BTreeMap<i64, Vec<SeccompRule>>) -> BTreeMap<i64, Vec<SeccompRule>> {
    const BIT: i64 = 0x4000_0000;
    // Those from 512 on are there only: rt_sigaction to pwritev2, with execve, ptrace and the like among them.
    const ITS_OWN: std::ops::RangeInclusive<i64> = 512..=547;
    let second: Vec<_> = calls
        .iter()
        .map(|(call, rules)| (call | BIT, rules.clone()))
        .collect();
    calls.extend(second);
    calls.extend(ITS_OWN.map(|call| (call | BIT, Vec::new())));
    calls
}

#[cfg(not(target_arch = "x86_64"))]
const fn with_x32(calls: BTreeMap<i64, Vec<SeccompRule>>) -> BTreeMap<i64, Vec<SeccompRule>> {
    calls
}

const EVERYWHERE: &[c_long] = &[
    // Other programs.
    libc::SYS_execve,
    libc::SYS_execveat,
    // Other processes: their memory, their descriptors.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_move_pages,
    libc::SYS_migrate_pages,
    // Other name spaces, other roots.
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    // Mounts.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_quotactl,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    // Files by other ways than their paths, and device nodes.
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    libc::SYS_mknodat,
    // Programs in the kernel, modules, another kernel.
    libc::SYS_bpf,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    // Large machinery that is no use here.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_userfaultfd,
    libc::SYS_perf_event_open,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    libc::SYS_personality,
    // Another user: that is over.
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_setgroups,
    libc::SYS_capset,
    // The host's clock and names.
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
];

#[cfg(target_arch = "x86_64")]
const HERE: &[c_long] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_mknod,
    libc::SYS_uselib,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_kexec_file_load,
];

#[cfg(not(target_arch = "x86_64"))]
const HERE: &[c_long] = &[];
