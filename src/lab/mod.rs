//! An embedded world: signed DNS, SMTP sinks and a policy host on loopback, and the scenarios of `danelaw demo`.
