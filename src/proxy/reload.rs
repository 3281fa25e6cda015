//! The next generation: everything is built from another configuration, and takes the place of what there is only when
//! nothing is missing.

use std::sync::Arc;

use super::generation::Generation;
use super::shell::Shell;
use super::{Proxy, StartError, acceptor, dialer};
use crate::config::Config;

impl Proxy {
    /// Counts a reload that was asked for, whatever was wrong.
    #[expect(clippy::fn_params_excessive_bools, reason = "there are two outcomes")]
    pub fn reloaded(&self, is_applied: bool) {
        self.reloads.count(is_applied);
    }

    /// Has new sessions begin with another configuration, with all the memory that there is. What cannot be changed in a
    /// running process stays as it is ([`Config::at_run_time`]).
    ///
    /// # Errors
    /// Why not: nothing is changed then.
    pub fn reload(&self, config: &Config) -> Result<(), StartError> {
        let before = self.generations.borrow().clone();
        let config = config.at_run_time(&before.config);
        let shell = &before.shell;
        let renewed = shell.engine.renewed(&config)?;
        let dialer = dialer(&config)?;
        let acceptor = acceptor(&config, &shell.engine.clock)?;
        // From here on nothing can fail.
        shell.room.resize(config.max_sessions);
        shell.clients.resize(config.max_sessions_per_client);
        shell
            .destinations
            .resize(config.max_sessions_per_destination);
        let shell = Shell {
            engine: renewed.begin(),
            dialer,
            acceptor,
            guard: shell.guard.clone(),
            interception: Arc::clone(&shell.interception),
            tally: Arc::clone(&shell.tally),
            records: Arc::clone(&shell.records),
            bare_line_ends: config.smtp.bare_line_ends,
            timeouts: config.timeouts,
            limits: config.limits,
            room: Arc::clone(&shell.room),
            clients: Arc::clone(&shell.clients),
            destinations: Arc::clone(&shell.destinations),
            rechecks: Arc::clone(&shell.rechecks),
            relook: Arc::clone(&shell.relook),
        };
        shell.relook.notify_one();
        self.generations.send_replace(Generation {
            config: Arc::new(config),
            shell: Arc::new(shell),
        });
        Ok(())
    }
}
