//! What `qed-capi/install.sh` installs is complete, and programs outside of this repository build
//! against it by pkg-config, statically, and by CMake.
// Helpers fail as tests do; clippy knows only functions that are tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{libraries, root, run, tool};
use std::path::Path;
use std::process::Command;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Goal: packagers get every file in its place, and no path of theirs in it. Method: install with
/// DESTDIR and look.
#[test]
fn destdir_receives_every_file_and_is_named_in_none() {
    let stage = tempfile::tempdir().unwrap();
    install("/usr", Some(stage.path()));
    let usr = stage.path().join("usr");
    for file in [
        "include/qed.h",
        "lib/libqed.a",
        "lib/pkgconfig/libqed.pc",
        "lib/cmake/libqed/libqedConfig.cmake",
        "lib/cmake/libqed/libqedConfigVersion.cmake",
        "share/man/man1/qed.1",
        "share/man/man3/libqed.3",
    ] {
        let bytes = std::fs::read(usr.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let text = String::from_utf8_lossy(&bytes);
        assert!(file.ends_with(".a") || !text.contains(stage.path().to_str().unwrap()), "{file}");
        assert!(file.contains("include/") || !text.contains("@PREFIX@"), "{file}");
    }
    let pc = std::fs::read_to_string(usr.join("lib/pkgconfig/libqed.pc")).unwrap();
    assert!(pc.contains("libdir=/usr/lib\n") && pc.contains(&format!("Version: {VERSION}\n")));
    assert!(!pc.contains('@'), "{pc}");
}

/// Goal: the usual three names of a shared library. Method: follow the links.
#[test]
fn library_is_found_under_its_three_names() {
    let prefix = tempfile::tempdir().unwrap();
    install(prefix.path().to_str().unwrap(), None);
    let lib = prefix.path().join("lib");
    let versioned = format!("libqed.so.{VERSION}");
    assert!(lib.join(&versioned).symlink_metadata().unwrap().is_file());
    assert_eq!(lib.join("libqed.so.0").read_link().unwrap(), Path::new(&versioned));
    assert_eq!(lib.join("libqed.so").read_link().unwrap(), Path::new("libqed.so.0"));
    // Again, over itself: an upgrade.
    install(prefix.path().to_str().unwrap(), None);
}

/// Goal: `install.sh` refuses what it cannot do. Method: no prefix, a relative one.
#[test]
fn install_without_an_absolute_prefix_is_refused() {
    for arguments in [&[][..], &["usr/local"], &["/a", "/b"]] {
        let mut command = script();
        let output = command.args(arguments).env("QED_BUILD_DIR", libraries()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty());
    }
}

/// Goal: the build line of the documentation. Method: pkg-config's flags and nothing else.
#[test]
fn program_builds_by_pkg_config() {
    if !tool("pkg-config") || !tool("cc") {
        return;
    }
    let prefix = tempfile::tempdir().unwrap();
    install(prefix.path().to_str().unwrap(), None);
    let flags = pkg_config(prefix.path(), &["--cflags", "--libs"]);
    let version = pkg_config(prefix.path(), &["--modversion"]);
    assert_eq!(version, [VERSION]);
    let program = prefix.path().join("hello");
    let hello = root().join("examples/c/hello.c");
    run(Command::new("cc").args(common::STRICT).arg(hello).arg("-o").arg(&program).args(flags));
    says_hello(&program, prefix.path(), Some("lib"));
}

/// Goal: a program that needs no libqed.so. Method: link the archive, run without a library path.
#[test]
fn program_builds_statically_by_pkg_config() {
    if !tool("pkg-config") || !tool("cc") {
        return;
    }
    let prefix = tempfile::tempdir().unwrap();
    install(prefix.path().to_str().unwrap(), None);
    std::fs::remove_file(prefix.path().join("lib/libqed.so")).unwrap();
    let flags = pkg_config(prefix.path(), &["--static", "--cflags", "--libs"]);
    let program = prefix.path().join("hello");
    let hello = root().join("examples/c/hello.c");
    run(Command::new("cc").arg(hello).arg("-o").arg(&program).args(flags));
    says_hello(&program, prefix.path(), None);
}

/// Goal: find_package gives both targets. Method: a project of its own, a program of each.
#[test]
fn program_builds_by_cmake() {
    if !tool("cmake") || !tool("cc") {
        return;
    }
    let prefix = tempfile::tempdir().unwrap();
    install(prefix.path().to_str().unwrap(), None);
    let project = prefix.path().join("project");
    std::fs::create_dir(&project).unwrap();
    std::fs::copy(root().join("examples/c/hello.c"), project.join("hello.c")).unwrap();
    std::fs::write(project.join("CMakeLists.txt"), PROJECT).unwrap();
    let build = project.join("build");
    let mut configure = Command::new("cmake");
    configure.arg("-S").arg(&project).arg("-B").arg(&build);
    run(configure.arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.path().display())));
    run(Command::new("cmake").arg("--build").arg(&build));
    says_hello(&build.join("dynamic"), prefix.path(), None);
    says_hello(&build.join("static"), prefix.path(), None);
}

const PROJECT: &str = "cmake_minimum_required(VERSION 3.16)
project(outside C)
find_package(libqed 0.1 REQUIRED)
find_package(libqed 0.1 REQUIRED)
find_package(libqed 99 QUIET)
if(libqed_FOUND)
  message(FATAL_ERROR \"version 99 was found\")
endif()
add_executable(dynamic hello.c)
target_link_libraries(dynamic PRIVATE libqed::qed)
add_executable(static hello.c)
target_link_libraries(static PRIVATE libqed::qed_static)
";

fn script() -> Command {
    let mut script = Command::new("sh");
    script.arg(root().join("qed-capi/install.sh"));
    for variable in ["PREFIX", "DESTDIR", "LIBDIR", "INCLUDEDIR", "MANDIR"] {
        script.env_remove(variable);
    }
    script
}

fn install(prefix: &str, destdir: Option<&Path>) {
    let mut command = script();
    if let Some(destdir) = destdir {
        command.env("DESTDIR", destdir);
    }
    run(command.arg(prefix).env("QED_BUILD_DIR", libraries()));
}

fn pkg_config(prefix: &Path, arguments: &[&str]) -> Vec<String> {
    let mut command = Command::new("pkg-config");
    command.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")).args(arguments).arg("libqed");
    let output = String::from_utf8(run(&mut command).stdout).unwrap();
    output.split_whitespace().map(str::to_owned).collect()
}

fn says_hello(program: &Path, directory: &Path, library_path: Option<&str>) {
    let mut command = Command::new(program);
    command.arg(program.with_extension("qed")).env_remove("LD_LIBRARY_PATH");
    if let Some(library_path) = library_path {
        command.env("LD_LIBRARY_PATH", directory.join(library_path));
    }
    assert_eq!(String::from_utf8(run(&mut command).stdout).unwrap(), "hello\n");
}
