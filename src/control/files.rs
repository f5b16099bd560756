//! Both configuration files, from disk to validated: a change is taken as far as it is valid, and never further.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{self, Deployment, Problems, Rollouts};
use crate::console::FileStatus;
use crate::revision::Revision;

/// The name of `crossfade.toml` in status and metrics.
pub(super) const CROSSFADE: &str = "crossfade";
/// The name of `rollout.toml` in status and metrics.
pub(super) const ROLLOUT: &str = "rollout";

/// Both files, and what they said when they were valid last.
#[derive(Debug)]
pub struct Files {
    config: PathBuf,
    /// From the command line; else from `crossfade.toml`, as it was at the start.
    rollout: PathBuf,
    deployment: Arc<Deployment>,
    rollout_text: String,
    rollouts: Arc<Rollouts>,
    status: BTreeMap<String, FileStatus>,
}

/// What a reload brought.
#[derive(Debug, Clone, Default)]
pub struct Reloaded {
    /// Files whose present content is in force.
    pub applied: Vec<&'static str>,
    /// Files whose present content is not.
    pub failed: Vec<FileFailure>,
}

/// A file that could not be applied.
#[derive(Debug, Clone)]
pub struct FileFailure {
    /// Its name in status and metrics.
    pub file: &'static str,
    /// What is wrong with it, as `file:line:column: reason`, a line each.
    pub reason: String,
    /// Whether this was not said before.
    pub is_news: bool,
}

impl Files {
    /// Reads `crossfade.toml`; the rollout file is [read](Self::open_rollout) once the data directory is known.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn open(config: &Path, rollout: Option<PathBuf>) -> Result<(Self, Arc<Deployment>), Problems> {
        let deployment = Arc::new(config::load_deployment(config)?);
        let mut files = Self {
            config: config.to_owned(),
            rollout: rollout.unwrap_or_else(|| deployment.rollout.clone()),
            deployment: Arc::clone(&deployment),
            rollout_text: String::new(),
            rollouts: Arc::default(),
            status: BTreeMap::new(),
        };
        let path = config.display().to_string();
        files.status.insert(CROSSFADE.to_owned(), FileStatus { path, ok: true, ..FileStatus::default() });
        Ok((files, deployment))
    }

    /// Reads the rollout file for the first time. Where it is invalid, `last_good` is used in its place, if there is one: a
    /// restart must not depend on what somebody is editing.
    ///
    /// # Errors
    /// What is wrong with the file, where nothing can be used in its place.
    pub fn open_rollout(&mut self, last_good: Option<&str>) -> Result<Reloaded, Problems> {
        let mut reloaded = Reloaded::default();
        let read = config::text(&self.rollout).and_then(|text| Ok((self.parse(&text, &self.deployment)?, text)));
        match read {
            Ok((rollouts, text)) => self.take_rollouts(text, rollouts, &mut reloaded),
            Err(problems) => {
                let text = last_good.ok_or_else(|| problems.clone())?;
                let rollouts = self.parse(text, &self.deployment).map_err(|_| problems.clone())?;
                self.take_rollouts(text.to_owned(), rollouts, &mut Reloaded::default());
                self.fail(ROLLOUT, &problems, &mut reloaded);
            }
        }
        Ok(reloaded)
    }

    /// What to watch: both files, and those that the first one names.
    pub fn paths(&self) -> Vec<PathBuf> {
        [self.config.clone(), self.rollout.clone()].into_iter().chain(self.deployment.files()).collect()
    }

    /// The content of `crossfade.toml` in force.
    pub const fn deployment(&self) -> &Arc<Deployment> {
        &self.deployment
    }

    /// The content of `rollout.toml` in force.
    pub const fn rollouts(&self) -> &Arc<Rollouts> {
        &self.rollouts
    }

    /// The text that the rollouts in force were read from.
    pub fn rollout_text(&self) -> &str {
        &self.rollout_text
    }

    /// The revision after `last` that the text in force makes; the same one where the text is the same.
    pub fn revision(&self, last: Revision) -> Revision {
        let hash = config::content_hash(&self.rollout_text);
        if last.number > 0 && last.hash == hash { last } else { Revision { number: last.number + 1, hash } }
    }

    /// How each file fared last.
    pub const fn status(&self) -> &BTreeMap<String, FileStatus> {
        &self.status
    }

    /// Reads both files again, and takes each as far as it is valid together with the other: both, or the one that goes with
    /// what is in force of the other.
    pub fn reload(&mut self) -> Reloaded {
        let mut reloaded = Reloaded::default();
        let deployment = config::load_deployment(&self.config).map(|new| new.adopted_by(&self.deployment));
        let (deployment, needs_restart) = self.read(CROSSFADE, deployment, &mut reloaded).unzip();
        let needs_restart = needs_restart.unwrap_or_default().into_iter().map(str::to_owned).collect();
        let text = self.read(ROLLOUT, config::text(&self.rollout), &mut reloaded);
        if let (Some(deployment), Some(text)) = (&deployment, &text)
            && let Ok(rollouts) = self.parse(text, deployment)
        {
            self.take_rollouts(text.clone(), rollouts, &mut reloaded);
            self.take_deployment(deployment.clone(), needs_restart, &mut reloaded);
            return reloaded;
        }
        if let Some(text) = text {
            match self.parse(&text, &self.deployment) {
                Ok(rollouts) => self.take_rollouts(text, rollouts, &mut reloaded),
                Err(problems) => self.fail(ROLLOUT, &problems, &mut reloaded),
            }
        }
        if let Some(deployment) = deployment {
            match self.parse(&self.rollout_text, &deployment) {
                Ok(rollouts) => {
                    self.rollouts = Arc::new(rollouts);
                    self.take_deployment(deployment, needs_restart, &mut reloaded);
                }
                Err(problems) => self.fail(CROSSFADE, &problems, &mut reloaded),
            }
        }
        reloaded
    }

    fn read<T>(&mut self, file: &'static str, read: Result<T, Problems>, reloaded: &mut Reloaded) -> Option<T> {
        read.map_err(|problems| self.fail(file, &problems, reloaded)).ok()
    }

    fn parse(&self, text: &str, deployment: &Deployment) -> Result<Rollouts, Problems> {
        config::parse_rollouts(text, &self.rollout, Some(deployment))
    }

    /// What a rollout file of this content would say.
    ///
    /// # Errors
    /// What is wrong with it, as `file:line:column: reason`, a line each.
    pub fn try_rollouts(&self, text: &str) -> Result<Rollouts, String> {
        self.parse(text, &self.deployment).map_err(|problems| problems.to_string())
    }

    fn take_deployment(&mut self, deployment: Deployment, needs_restart: Vec<String>, reloaded: &mut Reloaded) {
        // A deployment that did not change stays the same object, and with it everything that hangs on it.
        if *self.deployment != deployment {
            self.deployment = Arc::new(deployment);
        }
        let path = self.config.display().to_string();
        self.status.insert(CROSSFADE.to_owned(), FileStatus { path, ok: true, error: None, needs_restart });
        reloaded.applied.push(CROSSFADE);
    }

    fn take_rollouts(&mut self, text: String, rollouts: Rollouts, reloaded: &mut Reloaded) {
        self.rollouts = Arc::new(rollouts);
        self.rollout_text = text;
        let path = self.rollout.display().to_string();
        self.status.insert(ROLLOUT.to_owned(), FileStatus { path, ok: true, ..FileStatus::default() });
        reloaded.applied.push(ROLLOUT);
    }

    /// Says once what is wrong, and keeps what is in force.
    fn fail(&mut self, file: &'static str, problems: &Problems, reloaded: &mut Reloaded) {
        let error = problems.to_string();
        let status = self.status.entry(file.to_owned()).or_default();
        let is_news = status.error.as_deref() != Some(&error);
        if is_news {
            tracing::error!("{file}: not valid, what it said before stays in force\n{error}");
        }
        status.path = problems.file().display().to_string();
        status.ok = false;
        status.error = Some(error.clone());
        reloaded.failed.push(FileFailure { file, reason: error, is_news });
    }
}
