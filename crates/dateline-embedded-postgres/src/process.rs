//! The check that a process exists.

use nix::sys::signal::kill;
use nix::unistd::Pid;

/// True if there is a process of this number, including a zombie.
pub(super) fn exists(pid: u32) -> bool {
    let Ok(pid) = i32::try_from(pid) else {
        return false;
    };
    kill(Pid::from_raw(pid), None) != Err(nix::errno::Errno::ESRCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_exist() {
        assert!(exists(std::process::id()));
        assert!(!exists(u32::MAX));
    }
}
