//! Actions, commands and input trees.

use super::{Digest, Duration};
use prost::Message;

/// What is run or looked up: a command on an input tree.
#[derive(Clone, PartialEq, Message)]
pub struct Action {
    /// The command, itself a blob.
    #[prost(message, optional, tag = "1")]
    pub command_digest: Option<Digest>,
    /// The input tree's root directory, itself a blob.
    #[prost(message, optional, tag = "2")]
    pub input_root_digest: Option<Digest>,
    /// Longest run.
    #[prost(message, optional, tag = "6")]
    pub timeout: Option<Duration>,
    /// Whether its result must not be remembered.
    #[prost(bool, tag = "7")]
    pub do_not_cache: bool,
    /// Keeps otherwise equal actions apart.
    #[prost(bytes = "vec", tag = "9")]
    pub salt: Vec<u8>,
    /// Where it may run.
    #[prost(message, optional, tag = "10")]
    pub platform: Option<Platform>,
}

/// A command line and what it makes.
#[derive(Clone, PartialEq, Message)]
pub struct Command {
    /// Program and arguments.
    #[prost(string, repeated, tag = "1")]
    pub arguments: Vec<String>,
    /// Environment, sorted by name.
    #[prost(message, repeated, tag = "2")]
    pub environment_variables: Vec<EnvironmentVariable>,
    /// Output files for servers older than API 2.1, sorted.
    #[prost(string, repeated, tag = "3")]
    pub output_files: Vec<String>,
    /// Output folders for servers older than API 2.1, sorted.
    #[prost(string, repeated, tag = "4")]
    pub output_directories: Vec<String>,
    /// Where it may run, for servers older than API 2.2.
    #[prost(message, optional, tag = "5")]
    pub platform: Option<Platform>,
    /// Folder where it runs, below the input root.
    #[prost(string, tag = "6")]
    pub working_directory: String,
    /// Files and folders that it makes, sorted.
    #[prost(string, repeated, tag = "7")]
    pub output_paths: Vec<String>,
}

/// One variable of the environment.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct EnvironmentVariable {
    /// Name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Value.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// Properties that a worker must have, sorted by name, then value.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Platform {
    /// The properties.
    #[prost(message, repeated, tag = "1")]
    pub properties: Vec<Property>,
}

/// One property of a worker.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Property {
    /// Name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Value.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// One folder of an input tree; every list is sorted by name.
#[derive(Clone, PartialEq, Message)]
pub struct Directory {
    /// Files.
    #[prost(message, repeated, tag = "1")]
    pub files: Vec<FileNode>,
    /// Folders.
    #[prost(message, repeated, tag = "2")]
    pub directories: Vec<DirectoryNode>,
    /// Links.
    #[prost(message, repeated, tag = "3")]
    pub symlinks: Vec<SymlinkNode>,
}

/// A file of a folder.
#[derive(Clone, PartialEq, Message)]
pub struct FileNode {
    /// Name without a path.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its bytes.
    #[prost(message, optional, tag = "2")]
    pub digest: Option<Digest>,
    /// Whether it is a program.
    #[prost(bool, tag = "4")]
    pub is_executable: bool,
    /// Properties that we never ask for.
    #[prost(message, optional, tag = "6")]
    pub node_properties: Option<NodeProperties>,
}

/// A folder of a folder.
#[derive(Clone, PartialEq, Message)]
pub struct DirectoryNode {
    /// Name without a path.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its [`Directory`], itself a blob.
    #[prost(message, optional, tag = "2")]
    pub digest: Option<Digest>,
}

/// A link of a folder.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SymlinkNode {
    /// Name without a path.
    #[prost(string, tag = "1")]
    pub name: String,
    /// What it points at.
    #[prost(string, tag = "2")]
    pub target: String,
}

/// Properties of a file.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct NodeProperties {
    /// The properties, sorted by name.
    #[prost(message, repeated, tag = "1")]
    pub properties: Vec<NodeProperty>,
}

/// One property of a file.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct NodeProperty {
    /// Name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Value.
    #[prost(string, tag = "2")]
    pub value: String,
}
