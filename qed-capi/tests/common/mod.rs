//! What the tests of the C face share: building libqed, finding tools, running programs.
//!
//! Cargo promises the shared and the static library to nobody but `cargo build`, so
//! [`libraries`] runs that, once, in the profile of the tests. A tool that is missing skips what
//! needs it with a line `skipped: ...`; where the environment says `CI=true` that is a failure.
#![allow(dead_code)] // No test file uses all of it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// Every warning is an error.
pub(crate) const STRICT: [&str; 5] = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-Wshadow"];

/// The top of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// A directory with `libqed.so`, `libqed.so.0` (what programs ask for at run time) and `libqed.a`.
pub(crate) fn libraries() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let (target, profile) = target_and_profile();
        let cargo_profile = if profile == "debug" { "dev" } else { &profile };
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--offline", "-p", "qed-capi", "--lib", "--profile", cargo_profile]);
        run(cargo.arg("--target-dir").arg(&target).current_dir(root()));
        let built = target.join(profile);
        let linked = built.join("libqed");
        std::fs::create_dir_all(&linked).unwrap();
        for (name, library) in
            [("libqed.so", "libqed.so"), ("libqed.so.0", "libqed.so"), ("libqed.a", "libqed.a")]
        {
            // Relative, so that the links survive a move of the checkout.
            let library = Path::new("..").join(library);
            let made = std::os::unix::fs::symlink(library, linked.join(name));
            assert!(made.is_ok() || linked.join(name).exists(), "{name}: {made:?}");
        }
        linked
    })
}

/// The test itself stands in `<target directory>/<profile>/deps`.
fn target_and_profile() -> (PathBuf, String) {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let name = profile.file_name().unwrap().to_str().unwrap();
    (profile.parent().unwrap().to_path_buf(), name.to_owned())
}

/// Whether a tool is there; says so where it is not.
pub(crate) fn tool(name: &str) -> bool {
    let found = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|directory| directory.join(name).is_file())
    });
    found || skipped(&format!("{name} is not installed"))
}

/// Says what is left out; a failure where everything has to run.
pub(crate) fn skipped(why: &str) -> bool {
    println!("skipped: {why}");
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "CI=true, but {why}");
    false
}

/// Runs a command that has to succeed.
pub(crate) fn run(command: &mut Command) -> Output {
    attempt(command).unwrap_or_else(|failure| panic!("{failure}"))
}

/// Runs a command; the error is what it was and what it had to say.
pub(crate) fn attempt(command: &mut Command) -> Result<Output, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(output);
    }
    let said = [&output.stdout[..], &output.stderr].concat();
    Err(format!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&said)))
}

/// The dynamic symbols that libqed.so defines, sorted.
pub(crate) fn exported_symbols() -> Vec<String> {
    let library = libraries().join("libqed.so");
    let output = run(Command::new("nm").args(["-D", "--defined-only"]).arg(library));
    let lines = String::from_utf8(output.stdout).unwrap();
    let mut names: Vec<_> = lines
        .lines()
        .filter_map(|line| line.split_whitespace().last())
        .map(str::to_owned)
        .collect();
    names.sort_unstable();
    names
}

/// Compiles one C or C++ file against libqed.so, found at run time where it was built. The file
/// `dlopen.c` is not linked with it.
pub(crate) fn compile(source: &Path, program: &Path, more: &[&str]) -> Result<(), String> {
    let cpp = source.extension().is_some_and(|extension| extension == "cpp");
    let mut command = Command::new(if cpp { "c++" } else { "cc" });
    command.arg(if cpp { "-std=c++11" } else { "-std=c99" }).args(STRICT).args(["-g", "-O1"]);
    command.arg("-I").arg(root().join("include")).arg(source).arg("-o").arg(program).args(more);
    if source.file_stem().is_some_and(|stem| stem != "dlopen") {
        command.arg("-L").arg(libraries()).arg("-lqed");
        command.arg(format!("-Wl,-rpath,{}", libraries().display()));
    }
    attempt(command.args(["-lpthread", "-ldl"])).map(drop)
}
