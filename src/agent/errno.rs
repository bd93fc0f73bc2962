//! Errno names, as the manual pages write them.

use rustix::io::Errno;

/// How a connection ended when the other side simply closed it.
pub const CLOSED_BY_PEER: &str = "EOF";

pub fn name(error: Errno) -> String {
    NAMES
        .iter()
        .find(|(known, _)| *known == error)
        .map_or_else(|| format!("E{}", error.raw_os_error()), |(_, name)| (*name).to_owned())
}

/// What the errno means, for people.
pub fn meaning(name: &str) -> String {
    match NAMES.iter().find(|(_, known)| *known == name) {
        Some((error, _)) => {
            let text = std::io::Error::from(*error).to_string();
            text.split(" (os error").next().unwrap_or(&text).to_lowercase()
        }
        None if name == CLOSED_BY_PEER => "closed by the other side".to_owned(),
        None => name.to_owned(),
    }
}

const NAMES: &[(Errno, &str)] = &[
    (Errno::PERM, "EPERM"),
    (Errno::INTR, "EINTR"),
    (Errno::IO, "EIO"),
    (Errno::BADF, "EBADF"),
    (Errno::AGAIN, "EAGAIN"),
    (Errno::NOMEM, "ENOMEM"),
    (Errno::ACCESS, "EACCES"),
    (Errno::INVAL, "EINVAL"),
    (Errno::NFILE, "ENFILE"),
    (Errno::MFILE, "EMFILE"),
    (Errno::NOSPC, "ENOSPC"),
    (Errno::PIPE, "EPIPE"),
    (Errno::PROTO, "EPROTO"),
    (Errno::ADDRINUSE, "EADDRINUSE"),
    (Errno::ADDRNOTAVAIL, "EADDRNOTAVAIL"),
    (Errno::NETDOWN, "ENETDOWN"),
    (Errno::NETUNREACH, "ENETUNREACH"),
    (Errno::NETRESET, "ENETRESET"),
    (Errno::CONNABORTED, "ECONNABORTED"),
    (Errno::CONNRESET, "ECONNRESET"),
    (Errno::NOBUFS, "ENOBUFS"),
    (Errno::NOTCONN, "ENOTCONN"),
    (Errno::TIMEDOUT, "ETIMEDOUT"),
    (Errno::CONNREFUSED, "ECONNREFUSED"),
    (Errno::HOSTDOWN, "EHOSTDOWN"),
    (Errno::HOSTUNREACH, "EHOSTUNREACH"),
    (Errno::CANCELED, "ECANCELED"),
];
