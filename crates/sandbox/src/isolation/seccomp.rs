//! The system calls that code in the sandbox may not make, as BPF programs for `bwrap --seccomp`.
//!
//! The rest of the isolation does not depend on this filter; it takes away parts of the kernel that tests do not need and in
//! which faults of the kernel were found before.

use std::collections::BTreeMap;

use patchwright_core::fault::Cause;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};
use serde_json::{Value, json};

/// A system call: its name with the prefix `SYS_`, and its number.
type Call = (&'static str, libc::c_long);

macro_rules! calls {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), libc::$name)),*] };
}

/// A clone with one of these flags makes a namespace.
const NAMESPACE_FLAGS: [i32; 7] = [
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
];

/// Requests of `ioctl` that type into a terminal.
const TERMINAL_INPUT: [u64; 2] = [0x5412 /* TIOCSTI */, 0x541c /* TIOCLINUX */];

/// The families of sockets that a network namespace isolates. Others, such as `AF_VSOCK` and `AF_ALG`, reach the host.
const SOCKET_FAMILIES: [i32; 4] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// Calls that are denied with any arguments.
const DENIED: &[Call] = calls![
    // Other processes, and their memory.
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_process_madvise,
    SYS_pidfd_getfd,
    SYS_kcmp,
    // Keys are not in a namespace.
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    // Large parts of the kernel.
    SYS_bpf,
    SYS_perf_event_open,
    SYS_io_uring_setup,
    SYS_io_uring_enter,
    SYS_io_uring_register,
    SYS_userfaultfd,
    SYS_fanotify_init,
    // Mounts and namespaces.
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_move_mount,
    SYS_open_tree,
    SYS_fsopen,
    SYS_fsconfig,
    SYS_fsmount,
    SYS_fspick,
    SYS_mount_setattr,
    SYS_unshare,
    SYS_setns,
    SYS_name_to_handle_at,
    SYS_open_by_handle_at,
    // The machine.
    SYS_kexec_load,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_reboot,
    SYS_swapon,
    SYS_swapoff,
    SYS_acct,
    SYS_quotactl,
    SYS_syslog,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_clock_adjtime,
    SYS_adjtimex,
    SYS_sethostname,
    SYS_setdomainname,
];

/// Memory that belongs to no process. Only a control group counts it.
const UNCOUNTED_MEMORY: &[Call] = calls![SYS_memfd_create, SYS_shmget];

/// The number of the 64-bit calls of the x32 interface has this bit. They pass for x86-64 in a filter.
#[cfg(target_arch = "x86_64")]
const X32_BIT: i64 = 0x4000_0000;

/// Returns the filters as the bytes that `bwrap` reads. `counts_all_memory` says that a control group limits the memory.
///
/// # Errors
/// On a processor for which there is no filter.
pub(crate) fn filters(counts_all_memory: bool) -> Result<[Vec<u8>; 2], Cause> {
    let arch: TargetArch = std::env::consts::ARCH.try_into()?;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = DENIED.iter().map(|(_, call)| (*call, Vec::new())).collect();
    if !counts_all_memory {
        rules.extend(UNCOUNTED_MEMORY.iter().map(|(_, call)| (*call, Vec::new())));
    }
    let mut flags = Vec::new();
    for flag in NAMESPACE_FLAGS {
        let flag = u64::from(flag.cast_unsigned());
        flags.push(rule(vec![condition(0, SeccompCmpOp::MaskedEq(flag), flag)?])?);
    }
    rules.insert(libc::SYS_clone, flags);
    let mut requests = Vec::new();
    for request in TERMINAL_INPUT {
        requests.push(rule(vec![condition(1, SeccompCmpOp::Eq, request)?])?);
    }
    rules.insert(libc::SYS_ioctl, requests);
    let other_families: Result<Vec<_>, Cause> = SOCKET_FAMILIES
        .iter()
        .map(|family| condition(0, SeccompCmpOp::Ne, u64::from(family.cast_unsigned())))
        .collect();
    rules.insert(libc::SYS_socket, vec![rule(other_families?)?]);
    #[cfg(target_arch = "x86_64")]
    deny_x32(&mut rules);
    let denied = SeccompFilter::new(rules, SeccompAction::Allow, errno(libc::EPERM), arch)?;
    // The flags of clone3 are in memory, where a filter cannot read them. With ENOSYS the C library falls back to clone.
    let clone3 = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let clone3 = SeccompFilter::new(clone3, SeccompAction::Allow, errno(libc::ENOSYS), arch)?;
    Ok([encode(&denied.try_into()?), encode(&clone3.try_into()?)])
}

/// Families of sockets have numbers below this one.
const FAMILY_END: i32 = 64;

/// Returns the same rules in the JSON that container engines read. Their own profiles allow more, such as user namespaces.
pub(crate) fn profile(counts_all_memory: bool) -> Value {
    let uncounted = if counts_all_memory { &[][..] } else { UNCOUNTED_MEMORY };
    let name = |(name, _): &Call| name.trim_start_matches("SYS_").to_owned();
    let names: Vec<String> = DENIED.iter().chain(uncounted).map(name).collect();
    let denied = |name: &str, index: u8, operator: &str, value: i64| {
        json!({"names": [name], "action": "SCMP_ACT_ERRNO", "errnoRet": libc::EPERM,
               "args": [{"index": index, "value": value, "valueTwo": value, "op": operator}]})
    };
    let mut calls = vec![
        json!({"names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": libc::EPERM}),
        json!({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": libc::ENOSYS}),
        denied("socket", 0, "SCMP_CMP_GE", i64::from(FAMILY_END)),
    ];
    let flags = NAMESPACE_FLAGS.iter().map(|flag| denied("clone", 0, "SCMP_CMP_MASKED_EQ", i64::from(*flag)));
    calls.extend(flags);
    calls.extend(TERMINAL_INPUT.iter().map(|request| denied("ioctl", 1, "SCMP_CMP_EQ", request.cast_signed())));
    // Conditions on one argument are alternatives in this format, so that each of the other families has a rule.
    let others = (0..FAMILY_END).filter(|family| !SOCKET_FAMILIES.contains(family));
    calls.extend(others.map(|family| denied("socket", 0, "SCMP_CMP_EQ", i64::from(family))));
    // Calls of other interfaces, such as those of 32 bits, are not possible at all.
    let architecture = match std::env::consts::ARCH {
        "aarch64" => "SCMP_ARCH_AARCH64",
        "riscv64" => "SCMP_ARCH_RISCV64",
        _ => "SCMP_ARCH_X86_64",
    };
    json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": [architecture], "syscalls": calls})
}

/// Denies the x32 form of every call that is denied under any condition, and all calls that only x32 has.
#[cfg(target_arch = "x86_64")]
fn deny_x32(rules: &mut BTreeMap<i64, Vec<SeccompRule>>) {
    let mut calls: Vec<i64> = rules.keys().map(|call| call | X32_BIT).collect();
    calls.push(libc::SYS_clone3 | X32_BIT);
    calls.extend((512..=547).flat_map(|call| [call, call | X32_BIT]));
    rules.extend(calls.into_iter().map(|call| (call, Vec::new())));
}

const fn errno(code: i32) -> SeccompAction {
    SeccompAction::Errno(code.cast_unsigned())
}

fn condition(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompCondition, Cause> {
    // The kernel reads 32 bits of all these arguments.
    Ok(SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)?)
}

fn rule(conditions: Vec<SeccompCondition>) -> Result<SeccompRule, Cause> {
    Ok(SeccompRule::new(conditions)?)
}

/// The layout of the kernel's `sock_filter`.
fn encode(program: &BpfProgram) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(program.len() * 8);
    for instruction in program {
        bytes.extend(instruction.code.to_ne_bytes());
        bytes.extend([instruction.jt, instruction.jf]);
        bytes.extend(instruction.k.to_ne_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_have_the_kernels_format_and_fit_into_its_limit() {
        for counts in [true, false] {
            for filter in filters(counts).unwrap() {
                // Eight bytes an instruction, at most 4096 instructions.
                assert!(filter.len().is_multiple_of(8) && filter.len() / 8 <= 4096, "{}", filter.len());
            }
        }
    }
}
