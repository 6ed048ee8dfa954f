//! Destination of an export: a directory, or a prefix of an object store. Files appear only when they are complete.

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::{
    ObjectStore, ObjectStoreExt, PutMode, PutPayload, buffered::BufWriter, local::LocalFileSystem,
    path::Path,
};
use url::Url;

use super::{Error, layout::MANIFEST};

/// Bytes that a writer buffers before it sends a part; also the minimum size of a part in object stores.
const PART_BYTES: usize = 8 * 1024 * 1024;

/// A directory or prefix for files.
#[derive(Debug, Clone)]
pub struct Destination {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    /// Path on this machine, if it is a local directory.
    local: Option<PathBuf>,
    display_name: String,
}

impl Destination {
    /// Opens a directory, which is created if missing, or a URL: `s3://bucket/prefix`, `gs://`, `az://`, `file://`.
    /// Object stores take their credentials and endpoints from the environment: `AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT` and
    /// so on.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(text: &str) -> Result<Self, Error> {
        match Url::parse(text) {
            Ok(url) if url.scheme() == "file" => {
                let path = url.to_file_path();
                let path =
                    path.map_err(|()| Error::Destination(format!("{text} is no path here")))?;
                Self::directory(path)
            }
            // A scheme of one letter is a Windows drive.
            Ok(url) if url.scheme().len() > 1 => Self::remote(&url),
            _ => Self::directory(PathBuf::from(text)),
        }
    }

    /// Opens the destination of an export, given its directory, URL or manifest.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open_export(text: &str) -> Result<Self, Error> {
        let directory = text.trim_end_matches(MANIFEST).trim_end_matches('/');
        Self::open(if directory.is_empty() { "." } else { directory })
    }

    fn directory(path: PathBuf) -> Result<Self, Error> {
        let display_name = path.display().to_string();
        let failed =
            |error: &dyn std::fmt::Display| Error::Destination(format!("{display_name}: {error}"));
        std::fs::create_dir_all(&path).map_err(|error| failed(&error))?;
        let store = LocalFileSystem::new_with_prefix(&path).map_err(|error| failed(&error))?;
        Ok(Self {
            store: Arc::new(store.with_fsync(true)),
            prefix: Path::default(),
            local: Some(path),
            display_name,
        })
    }

    /// Refuses object stores, which are in the feature `object-stores`.
    #[cfg(not(feature = "object-stores"))]
    fn remote(url: &Url) -> Result<Self, Error> {
        use object_store::ObjectStoreScheme as Scheme;
        match Scheme::parse(url) {
            Ok((Scheme::AmazonS3 | Scheme::GoogleCloudStorage | Scheme::MicrosoftAzure, _)) => {
                Err(super::NotBuilt("object stores").into())
            }
            _ => Err(Error::Destination(format!("{url}: is no directory"))),
        }
    }

    #[cfg(feature = "object-stores")]
    fn remote(url: &Url) -> Result<Self, Error> {
        // TLS to object stores uses the one provider that is built in.
        drop(rustls::crypto::ring::default_provider().install_default());
        let settings = std::env::vars().map(|(key, value)| (key.to_ascii_lowercase(), value));
        let (store, prefix) = object_store::parse_url_opts(url, settings)
            .map_err(|error| Error::Destination(format!("{url}: {error}")))?;
        Ok(Self {
            store: Arc::from(store),
            prefix,
            local: None,
            display_name: url.to_string(),
        })
    }

    /// A destination below this one.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        Self {
            store: self.store.clone(),
            prefix: self.prefix.clone().join(name),
            local: self.local.as_ref().map(|path| path.join(name)),
            display_name: format!("{}/{name}", self.display_name.trim_end_matches('/')),
        }
    }

    /// Path or URL for messages.
    #[must_use]
    pub fn display_name(&self) -> &str {
        &self.display_name
    }

    fn path(&self, name: &str) -> Path {
        self.prefix.clone().join(name)
    }

    /// Refuses a symbolic link: an export has only files of its own, so a link was put there by someone else.
    fn refuse_link(&self, name: &str) -> Result<(), Error> {
        let Some(local) = &self.local else {
            return Ok(());
        };
        let found = std::fs::symlink_metadata(local.join(name));
        if found.is_ok_and(|found| found.is_symlink()) {
            return Err(Error::Destination(format!(
                "{}/{name} is a symbolic link; an export has files of its own",
                self.display_name.trim_end_matches('/')
            )));
        }
        Ok(())
    }

    /// Opens a writer of a file, which appears when the writer is closed.
    #[must_use]
    pub fn writer(&self, name: &str) -> BufWriter {
        BufWriter::with_capacity(self.store.clone(), self.path(name), PART_BYTES)
    }

    /// Reads a file as a stream of chunks.
    ///
    /// # Errors
    /// If it does not exist.
    pub async fn read(
        &self,
        name: &str,
    ) -> Result<
        impl futures_util::Stream<Item = std::io::Result<Bytes>> + Send + Unpin + use<>,
        Error,
    > {
        self.refuse_link(name)?;
        let found = self.store.get(&self.path(name)).await;
        let found = found.map_err(|error| self.failed(name, error))?;
        Ok(found.into_stream().map_err(std::io::Error::other))
    }

    /// Reads a small file; `None` if it does not exist.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn get(&self, name: &str) -> Result<Option<Bytes>, Error> {
        self.refuse_link(name)?;
        match self.store.get(&self.path(name)).await {
            Ok(found) => Ok(Some(
                found
                    .bytes()
                    .await
                    .map_err(|error| self.failed(name, error))?,
            )),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(name, error)),
        }
    }

    /// Writes a small file, and replaces an older one.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), Error> {
        let put = self
            .store
            .put(&self.path(name), PutPayload::from(bytes))
            .await;
        put.map(drop).map_err(|error| self.failed(name, error))
    }

    /// Writes a small file unless it exists; returns whether it was written.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn put_new(&self, name: &str, bytes: Vec<u8>) -> Result<bool, Error> {
        let (path, payload) = (self.path(name), PutPayload::from(bytes));
        let put = self.store.put_opts(&path, payload, PutMode::Create.into());
        match put.await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(self.failed(name, error)),
        }
    }

    /// Names of the directories directly below.
    ///
    /// # Errors
    /// If it cannot be listed.
    pub async fn directories(&self) -> Result<Vec<String>, Error> {
        let listed = self.store.list_with_delimiter(Some(&self.prefix)).await;
        let listed = listed.map_err(|error| self.failed("", error))?;
        let names = listed.common_prefixes.iter();
        Ok(names
            .filter_map(|path| path.filename().map(str::to_owned))
            .collect())
    }

    /// Names of all files.
    ///
    /// # Errors
    /// If it cannot be listed.
    pub async fn files(&self) -> Result<Vec<String>, Error> {
        let listed = self.store.list_with_delimiter(Some(&self.prefix)).await;
        let listed = listed.map_err(|error| self.failed("", error))?;
        let names = listed.objects.iter();
        Ok(names
            .filter_map(|object| object.location.filename().map(str::to_owned))
            .collect())
    }

    /// Deletes a file, if it exists.
    ///
    /// # Errors
    /// If it cannot be deleted.
    pub async fn delete(&self, name: &str) -> Result<(), Error> {
        match self.store.delete(&self.path(name)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed(name, error)),
        }
    }

    /// Deletes the temporary files of a killed process, and then the directory if it is empty.
    pub fn remove_temporary_files(&self) {
        let Some(local) = &self.local else { return };
        for file in std::fs::read_dir(local).into_iter().flatten().flatten() {
            if file.file_name().to_string_lossy().contains('#') {
                // Nothing reads these files: one that stays only costs space.
                drop(std::fs::remove_file(file.path()));
            }
        }
    }

    /// Removes the directory itself if it is empty.
    pub fn remove(&self) {
        self.remove_temporary_files();
        if let Some(local) = &self.local {
            // An object store has no directories, and a directory that is not empty has files of others.
            drop(std::fs::remove_dir(local));
        }
    }

    fn failed(&self, name: &str, error: object_store::Error) -> Error {
        Error::Store {
            what: format!("{}/{name}", self.display_name.trim_end_matches('/')),
            source: error,
        }
    }
}
