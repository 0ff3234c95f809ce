//! Metadata of what the operator made, in the least room: there are tens of thousands of such objects.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;

use super::lean::version;
use crate::names;

/// On pods, by the Job controller.
pub const JOB_UID_LABEL: &str = "batch.kubernetes.io/controller-uid";
/// On pods, by the Job controller.
pub const JOB_NAME_LABEL: &str = "batch.kubernetes.io/job-name";
/// Labels that something reads.
const LABELS: &[&str] = &[names::KIND_LABEL, JOB_UID_LABEL, JOB_NAME_LABEL];
/// Annotations that something reads. Those of pods are partly the target's own.
const ANNOTATIONS: &[&str] = &[
    names::TASK_ANNOTATION,
    names::RUN_ANNOTATION,
    names::RUN_KEY_ANNOTATION,
    names::GENERATION_ANNOTATION,
    names::HELD_ANNOTATION,
    names::CONTAINER_ANNOTATION,
    names::IMAGE_ANNOTATION,
    names::TARGET_ANNOTATION,
    names::TARGET_SETTINGS_ANNOTATION,
    names::INTERPRETERS_ANNOTATION,
];

/// Who an object is that the operator made, or a Job of its.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OwnedMeta {
    pub namespace: Box<str>,
    pub name: Box<str>,
    pub uid: Box<str>,
    /// The resource version, a number that grows.
    pub version: Option<u64>,
    pub created: Option<Timestamp>,
    pub is_deleting: bool,
    marks: Marks,
    owners: Box<[Owner]>,
}

#[derive(Clone, Debug, PartialEq)]
struct Owner {
    uid: Box<str>,
    controls: bool,
}

impl From<ObjectMeta> for OwnedMeta {
    fn from(meta: ObjectMeta) -> Self {
        let version = version(&meta);
        let text = |text: Option<String>| text.unwrap_or_default().into_boxed_str();
        let (labels, annotations) = (meta.labels.unwrap_or_default(), meta.annotations.unwrap_or_default());
        let marks =
            LABELS.iter().map(|name| labels.get(*name)).chain(ANNOTATIONS.iter().map(|name| annotations.get(*name)));
        let owners = meta.owner_references.into_iter().flatten();
        Self {
            namespace: text(meta.namespace),
            name: text(meta.name),
            uid: text(meta.uid),
            version,
            created: meta.creation_timestamp.map(|time| time.0),
            is_deleting: meta.deletion_timestamp.is_some(),
            marks: Marks::of(marks.map(|value| value.map(String::as_str))),
            owners: owners.map(|o| Owner { uid: o.uid.into(), controls: o.controller == Some(true) }).collect(),
        }
    }
}

impl OwnedMeta {
    /// Whether the object of this UID owns it, among others.
    pub fn is_owned_by(&self, uid: &str) -> bool {
        self.owners.iter().any(|owner| &*owner.uid == uid)
    }

    /// Whether the object of this UID made it.
    pub fn is_controlled_by(&self, uid: &str) -> bool {
        self.owners.iter().any(|owner| owner.controls && &*owner.uid == uid)
    }

    /// A label or annotation that the operator or the Job controller wrote: one of those that are kept.
    pub fn mark(&self, name: &str) -> Option<&str> {
        self.marks.get(name)
    }
}

/// The values of those labels and annotations that an object has, in one piece, as there are tens of thousands of such
/// objects: of each its place among them, its length and its text.
#[derive(Clone, Debug, Default, PartialEq)]
struct Marks(Box<[u8]>);

impl Marks {
    /// Of all labels and annotations that are kept, in their order.
    fn of<'a>(values: impl Iterator<Item = Option<&'a str>>) -> Self {
        let mut bytes = Vec::new();
        for (place, value) in (0_u8..).zip(values) {
            // What does not fit is not the operator's.
            let Some((value, length)) = value.and_then(|v| Some((v, u16::try_from(v.len()).ok()?))) else {
                continue;
            };
            bytes.push(place);
            bytes.extend(length.to_le_bytes());
            bytes.extend(value.as_bytes());
        }
        Self(bytes.into_boxed_slice())
    }

    fn get(&self, name: &str) -> Option<&str> {
        let wanted = LABELS.iter().chain(ANNOTATIONS).position(|mark| *mark == name);
        debug_assert!(wanted.is_some(), "{name} is not kept");
        let wanted = wanted?;
        let mut rest = &*self.0;
        while let [place, low, high, tail @ ..] = rest {
            let (value, next) = tail.split_at_checked(usize::from(u16::from_le_bytes([*low, *high])))?;
            if usize::from(*place) == wanted {
                return std::str::from_utf8(value).ok();
            }
            rest = next;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_mark_is_found_as_what_it_is() {
        let meta = json!({
            "labels": {names::KIND_LABEL: "DjangoUser", "app": "x", names::HELD_ANNOTATION: "true"},
            "annotations": {
                names::KIND_LABEL: "of the target", JOB_NAME_LABEL: "of the target",
                names::TASK_ANNOTATION: "näme\u{0}", names::RUN_ANNOTATION: "", names::GENERATION_ANNOTATION: "7",
                names::IMAGE_ANNOTATION: "i".repeat(70_000),
            },
        });
        let meta = OwnedMeta::from(serde_json::from_value::<ObjectMeta>(meta).unwrap());
        for (name, value) in [
            (names::KIND_LABEL, Some("DjangoUser")),
            (names::TASK_ANNOTATION, Some("näme\u{0}")),
            (names::RUN_ANNOTATION, Some("")),
            (names::GENERATION_ANNOTATION, Some("7")),
            (names::RUN_KEY_ANNOTATION, None),
            (names::IMAGE_ANNOTATION, None),
            (names::HELD_ANNOTATION, None),
            (JOB_NAME_LABEL, None),
        ] {
            assert_eq!(meta.mark(name), value, "{name}");
        }
    }
}
