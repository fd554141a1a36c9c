//! Which backing files an image may make us open.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // Helpers fail their tests.

mod chain_support;

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use chain_support::*;
use qed_core::{
    BackingPolicy, BackingSource, Corruption, Error, ErrorKind, Format, OpenOptions, Result, open,
    open_file,
};
use tempfile::TempDir;

const SECRET: u8 = 0x5e;
const BASE: u8 = 0xba;

/// `images/` with a base and links, and a secret outside of it.
struct Layout {
    directory: TempDir,
}

impl Layout {
    fn new() -> Self {
        let layout = Self { directory: tempfile::tempdir().unwrap() };
        let images = layout.images();
        fs::create_dir_all(images.join("sub")).unwrap();
        raw(&images.join("base.raw"), BASE);
        raw(&images.join("sub/deep.raw"), BASE);
        raw(&layout.root().join("secret.raw"), SECRET);
        symlink("base.raw", images.join("link_in")).unwrap();
        symlink("../secret.raw", images.join("link_out")).unwrap();
        symlink("..", images.join("up")).unwrap();
        symlink("loop", images.join("loop")).unwrap();
        symlink(images.join("base.raw"), images.join("link_absolute")).unwrap();
        symlink(&images, layout.root().join("alias")).unwrap();
        layout
    }

    /// Without links in it, as the temporary directory itself may be behind one.
    fn root(&self) -> PathBuf {
        self.directory.path().canonicalize().unwrap()
    }

    fn images(&self) -> PathBuf {
        self.root().join("images")
    }

    fn absolute(&self, name: &str) -> String {
        text(&self.root().join(name)).to_owned()
    }

    /// Opens an image in `images/` that names `name` as its raw backing file.
    fn open_over(&self, name: &str, policy: BackingPolicy) -> Result<u8> {
        let top = self.images().join("top.qed");
        let _ = fs::remove_file(&top);
        naming(&top, name, Format::Raw);
        open(&top, &with_policy(policy)).map(|image| value_of(&image))
    }
}

#[test]
fn beneath_opens_what_lies_in_the_directory_and_nothing_else() {
    // Goal: D15 and every way out. Method: one name after the other, under the three plain
    // policies.
    let layout = Layout::new();
    let inside = [
        "base.raw".to_owned(),
        "./base.raw".into(),
        "sub/deep.raw".into(),
        "sub/../base.raw".into(),
        "link_in".into(),
        layout.absolute("images/base.raw"),
        layout.absolute("images//sub/deep.raw"),
    ];
    let outside = [
        ("../secret.raw".to_owned(), SECRET),
        ("../images/base.raw".into(), BASE),
        ("sub/../../secret.raw".into(), SECRET),
        ("link_out".into(), SECRET),
        ("link_absolute".into(), BASE),
        ("up/secret.raw".into(), SECRET),
        (layout.absolute("secret.raw"), SECRET),
        (layout.absolute("images/../secret.raw"), SECRET),
        (layout.absolute("images/link_out"), SECRET),
    ];
    for name in &inside {
        let opened = layout.open_over(name, BackingPolicy::Beneath);
        assert_eq!(opened.unwrap(), BASE, "{name}");
    }
    for (name, _) in &outside {
        let error = refusal(layout.open_over(name, BackingPolicy::Beneath), ErrorKind::Refused);
        let said = error.to_string();
        assert!(said.contains(&format!("backing file {name:?}")), "{said}");
        assert!(said.contains("backing_policy=follow would allow it"), "{said}");
        assert_eq!(error.file(), Some(&*layout.images().join("top.qed")));
    }
    let inside = inside.iter().map(|name| (name, BASE));
    for (name, value) in inside.chain(outside.iter().map(|(name, value)| (name, *value))) {
        let opened = layout.open_over(name, BackingPolicy::Follow);
        assert_eq!(opened.unwrap(), value, "{name}");
        let error = refusal(layout.open_over(name, BackingPolicy::Deny), ErrorKind::Refused);
        assert!(error.to_string().contains("backing_policy=deny"), "{error}");
    }
}

#[test]
fn beneath_is_the_default_and_loops_of_links_end() {
    let layout = Layout::new();
    let top = layout.images().join("top.qed");
    naming(&top, "../secret.raw", Format::Raw);
    refusal(open(&top, &OpenOptions::default()), ErrorKind::Refused);
    refusal(layout.open_over("loop", BackingPolicy::Beneath), ErrorKind::Refused);
    layout.open_over("loop", BackingPolicy::Follow).unwrap_err();
}

#[test]
fn absolute_names_match_the_directory_as_called_and_as_it_is() {
    let layout = Layout::new();
    for name in ["images/base.raw", "alias/base.raw"] {
        let top = layout.root().join("alias/top.qed");
        let _ = fs::remove_file(&top);
        naming(&top, layout.absolute(name), Format::Raw);
        let image = open(&top, &OpenOptions::default()).unwrap();
        assert_eq!(value_of(&image), BASE, "{name}");
    }
}

#[test]
fn lower_images_may_name_what_the_upper_may() {
    // A name is relative to the image that holds it; the border is the directory of the one opened.
    let layout = Layout::new();
    let images = layout.images();
    naming(&images.join("sub/mid.qed"), "../base.raw", Format::Raw);
    naming(&images.join("sub/bad.qed"), "../../secret.raw", Format::Raw);
    naming(&images.join("top.qed"), "sub/mid.qed", Format::Qed);
    naming(&images.join("worse.qed"), "sub/bad.qed", Format::Qed);
    let image = open(images.join("top.qed"), &OpenOptions::default()).unwrap();
    assert_eq!(value_of(&image), BASE);
    let opened = open(images.join("worse.qed"), &OpenOptions::default());
    let error = refusal(opened, ErrorKind::Refused);
    assert_eq!(error.file(), Some(&*images.join("sub/bad.qed")), "{error}");
    let opened = open(images.join("worse.qed"), &with_policy(BackingPolicy::Follow));
    assert_eq!(value_of(&opened.unwrap()), SECRET);
}

#[test]
fn prefixes_have_no_meaning() {
    // Goal: D15. Method: names that QEMU takes for protocols are files, where they exist.
    let layout = Layout::new();
    let secret = layout.absolute("secret.raw");
    for name in [
        format!("json:{{\"driver\":\"raw\",\"file.filename\":\"{secret}\"}}"),
        format!("file:{secret}"),
        "nbd:localhost:10809".into(),
        "fat:rw:sub".into(),
        "base.raw ".into(),
        "-o".into(),
    ] {
        for policy in [BackingPolicy::Beneath, BackingPolicy::Follow] {
            let error = refusal(layout.open_over(&name, policy), ErrorKind::NotFound);
            assert!(error.to_string().contains(&format!("{:?}", Path::new(&name))), "{error}");
        }
        if !name.contains('/') {
            raw(&layout.images().join(&name), 0x77);
            assert_eq!(layout.open_over(&name, BackingPolicy::Beneath).unwrap(), 0x77, "{name}");
        }
    }
}

#[test]
fn only_regular_files_are_opened() {
    // Goal: no FIFO hangs us, no device is touched. Method: one of each, inside the directory and
    // by an absolute name.
    let layout = Layout::new();
    let images = layout.images();
    run("mkfifo", &[text(&images.join("fifo"))]);
    let _socket = UnixListener::bind(images.join("socket")).unwrap();
    for (name, is) in
        [("fifo", "a FIFO"), ("sub", "a directory"), (".", "a directory"), ("socket", "no regular")]
    {
        for policy in [BackingPolicy::Beneath, BackingPolicy::Follow] {
            let error = refusal(layout.open_over(name, policy), ErrorKind::Refused);
            assert!(error.to_string().contains(&format!("{name:?} is {is}")), "{error}");
        }
    }
    let opened = layout.open_over("/dev/null", BackingPolicy::Follow);
    let error = refusal(opened, ErrorKind::Refused);
    assert!(error.to_string().contains("a character device"), "{error}");
    let absolute = layout.absolute("images");
    refusal(layout.open_over(&absolute, BackingPolicy::Beneath), ErrorKind::Refused);
}

#[test]
fn block_devices_are_opened_where_asked() {
    use std::os::unix::fs::FileTypeExt;
    let is_block = |path: &PathBuf| {
        fs::metadata(path).is_ok_and(|found| found.file_type().is_block_device())
            && File::open(path).is_ok()
    };
    let found = fs::read_dir("/dev").unwrap().map(|entry| entry.unwrap().path()).find(is_block);
    let Some(device) = found else {
        println!("skipped: no block device can be read here");
        return;
    };
    let layout = Layout::new();
    let opened = layout.open_over(text(&device), BackingPolicy::Follow);
    let error = refusal(opened, ErrorKind::Refused);
    assert!(error.to_string().contains("block_devices=on would allow it"), "{error}");
    let mut options = with_policy(BackingPolicy::Follow);
    options.block_devices = true;
    options.image.read_only = true;
    open(layout.images().join("top.qed"), &options).unwrap();
}

#[test]
fn names_that_no_path_can_have_are_corrupt() {
    let layout = Layout::new();
    let top = layout.images().join("top.qed");
    naming(&top, "base.raw", Format::Raw);
    patch(&top, 60, &4096_u32.to_le_bytes());
    let error = refusal(open(&top, &OpenOptions::default()), ErrorKind::Corrupt);
    let expected = Corruption::BackingName { offset: 64, size: 4096 };
    assert_eq!(error.corruption(), Some(&expected));
    patch(&top, 60, &8_u32.to_le_bytes());
    patch(&top, 64, b"base\0raw");
    let error = refusal(open(&top, &OpenOptions::default()), ErrorKind::Corrupt);
    assert_eq!(error.corruption(), Some(&Corruption::BackingNameNul { at: 4 }));
    assert_eq!(error.file(), Some(&*top));
}

#[test]
fn an_image_by_descriptor_has_no_directory() {
    let layout = Layout::new();
    let top = layout.images().join("top.qed");
    naming(&top, "base.raw", Format::Raw);
    let by_descriptor = |policy| {
        let file = File::options().read(true).write(true).open(&top).unwrap();
        open_file(file, &with_policy(policy)).map(|image| value_of(&image))
    };
    for policy in [BackingPolicy::Beneath, BackingPolicy::Follow] {
        let error = refusal(by_descriptor(policy), ErrorKind::Refused);
        assert!(error.to_string().contains("opened by descriptor"), "{error}");
        assert_eq!(error.file(), None);
    }
    refusal(by_descriptor(BackingPolicy::Deny), ErrorKind::Refused);
    let directory = |path: &Path| Arc::new(OwnedFd::from(File::open(path).unwrap()));
    let beneath = BackingPolicy::BeneathDirectory(directory(&layout.images()));
    assert_eq!(by_descriptor(beneath).unwrap(), BASE);
    let elsewhere = BackingPolicy::BeneathDirectory(directory(&layout.root()));
    refusal(by_descriptor(elsewhere), ErrorKind::NotFound);
    let base = File::open(layout.images().join("base.raw")).unwrap();
    let chain = BackingPolicy::Chain(vec![BackingSource::file(base)]);
    assert_eq!(by_descriptor(chain).unwrap(), BASE);
}

#[test]
fn beneath_a_directory_names_are_relative_to_it() {
    let layout = Layout::new();
    let fd = Arc::new(OwnedFd::from(File::open(layout.images()).unwrap()));
    let beneath = || BackingPolicy::BeneathDirectory(Arc::clone(&fd));
    assert_eq!(layout.open_over("sub/deep.raw", beneath()).unwrap(), BASE);
    let absolute = layout.absolute("images/base.raw");
    assert_eq!(layout.open_over(&absolute, beneath()).unwrap(), BASE);
    refusal(layout.open_over("../secret.raw", beneath()), ErrorKind::Refused);
    refusal(layout.open_over(&layout.absolute("secret.raw"), beneath()), ErrorKind::Refused);
}

#[test]
fn an_explicit_chain_is_what_the_caller_says() {
    // Names in the images are not looked at; too few files and too many are errors.
    let layout = Layout::new();
    let images = layout.images();
    naming(&images.join("mid.qed"), "/nowhere/base", Format::Raw);
    naming(&images.join("top.qed"), "/nowhere/mid", Format::Qed);
    let secret = BackingSource::path(layout.root().join("secret.raw"));
    let mid = BackingSource::path(images.join("mid.qed"));
    let with = |sources: &[&BackingSource]| {
        let sources = sources.iter().map(|source| (*source).clone()).collect();
        open(images.join("top.qed"), &with_policy(BackingPolicy::Chain(sources)))
    };
    assert_eq!(value_of(&with(&[&mid, &secret]).unwrap()), SECRET);
    let error = refusal(with(&[&mid]), ErrorKind::Refused);
    assert!(error.to_string().contains("\"/nowhere/base\" is needed"), "{error}");
    assert_eq!(error.file(), Some(&*images.join("mid.qed")));
    let error = refusal(with(&[&mid, &secret, &secret]), ErrorKind::InvalidArgument);
    assert!(error.to_string().contains("1 more files"), "{error}");
    let missing = BackingSource::path(images.join("missing"));
    let error = refusal(with(&[&missing]), ErrorKind::NotFound);
    assert_eq!(error.file(), Some(&*images.join("missing")));
}

#[test]
fn the_callers_word_on_the_format_counts_most() {
    let layout = Layout::new();
    let images = layout.images();
    qed_base(&images.join("base.qed"), 3);
    naming(&images.join("top.qed"), "base.qed", Format::Raw);
    let with = |format: Option<Format>| {
        let source = BackingSource::path(images.join("base.qed"));
        let source = match format {
            Some(format) => source.with_format(format),
            None => source,
        };
        let image = open(images.join("top.qed"), &with_policy(BackingPolicy::Chain(vec![source])));
        let mut start = [0; 3];
        image.unwrap().pread(&mut start, 0).unwrap();
        start
    };
    assert_eq!(with(None), *b"QED");
    assert_eq!(with(Some(Format::Raw)), *b"QED");
    assert_eq!(with(Some(Format::Qed)), [3; 3]);
}

#[test]
fn a_function_is_asked_once_for_each_layer() {
    let layout = Layout::new();
    let images = layout.images();
    naming(&images.join("mid.qed"), "any base", Format::Raw);
    naming(&images.join("top.qed"), "any mid", Format::Qed);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (log, here) = (Arc::clone(&asked), images.clone());
    let ask = BackingPolicy::Ask(Arc::new(move |request| {
        let image = request.image.map(Path::to_path_buf);
        log.lock().unwrap().push((
            image,
            request.name.to_path_buf(),
            request.format,
            request.depth,
        ));
        let name = if request.depth == 1 { "mid.qed" } else { "base.raw" };
        Ok(BackingSource::path(here.join(name)))
    }));
    let image = open(images.join("top.qed"), &with_policy(ask)).unwrap();
    assert_eq!(value_of(&image), BASE);
    let expected = [
        (Some(images.join("top.qed")), PathBuf::from("any mid"), None, 1),
        (Some(images.join("mid.qed")), PathBuf::from("any base"), Some(Format::Raw), 2),
    ];
    assert_eq!(*asked.lock().unwrap(), expected);
    drop(image);
    let no = BackingPolicy::Ask(Arc::new(|_| Err(Error::new(ErrorKind::Cancelled, "no"))));
    refusal(open(images.join("top.qed"), &with_policy(no)), ErrorKind::Cancelled);
}

#[test]
fn a_refused_chain_leaves_the_image_untouched() {
    // Goal: nothing is written before the chain is there. Method: an image that a writable open
    // would change (an unknown autoclear bit) over a name that is refused.
    let layout = Layout::new();
    let top = layout.images().join("top.qed");
    naming(&top, "../secret.raw", Format::Raw);
    patch(&top, 32, &[0xff; 2]);
    let before = fs::read(&top).unwrap();
    refusal(open(&top, &OpenOptions::default()), ErrorKind::Refused);
    assert!(fs::read(&top).unwrap() == before);
    open(&top, &with_policy(BackingPolicy::Follow)).unwrap().close().unwrap();
    assert!(fs::read(&top).unwrap() != before, "the bits were not cleared after all");
}
