//! Feature bits (F1.1, F1.5).

/// Incompatible: the image has a backing file.
pub const FEATURE_BACKING_FILE: u64 = 0x1;
/// Incompatible: tables may hold entries past the end of the file (F5). libqed never sets it.
pub const FEATURE_NEED_CHECK: u64 = 0x2;
/// Incompatible: the backing file is raw, its format must not be probed.
pub const FEATURE_RAW_BACKING: u64 = 0x4;
/// Every incompatible bit this library understands; another one refuses the image.
pub const FEATURES_KNOWN: u64 = FEATURE_BACKING_FILE | FEATURE_NEED_CHECK | FEATURE_RAW_BACKING;

/// Autoclear: no entry lies past the end of the file, and only libqed has written since that was
/// established.
pub const AUTOCLEAR_TABLES_VOUCHED: u64 = 1 << 32;
/// Autoclear: the extension area holds a map of free space.
pub const AUTOCLEAR_FREE_MAP: u64 = 1 << 33;
/// Every autoclear bit this library understands; others are cleared at the first writable open.
pub const AUTOCLEAR_KNOWN: u64 = AUTOCLEAR_TABLES_VOUCHED | AUTOCLEAR_FREE_MAP;
