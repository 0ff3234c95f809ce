//! Texts of objects, compressed: most of each is what all have in common.

use lz4_flex::block::{DecompressError, compress_prepend_size_with_dict, decompress_size_prepended_with_dict};

/// What finished tasks have in common. Whatever else stands in a text only makes it longer.
const DICTIONARY: &[u8] = br#"{"apiVersion":"django.my.domain/v1alpha1","kind":"DjangoMigrate","metadata":{"annotations":{"django.my.domain/requestedAt":""},"creationTimestamp":"2026-01-01T00:00:00Z","generation":1,"labels":{"app.kubernetes.io/managed-by":"Helm"},"name":"","namespace":"default","resourceVersion":"1","uid":""},"spec":{"historyLimit":3,"retries":0,"runPolicy":"OnImageChange","trigger":""},"status":{"applied":"2026-01-01T00:00:00Z","conditions":[{"lastTransitionTime":"2026-01-01T00:00:00Z","message":"1 migration applied in 1s with image localhost/app:1","observedGeneration":1,"reason":"Succeeded","status":"True","type":"Ready"},{"lastTransitionTime":"2026-01-01T00:00:00Z","message":"","observedGeneration":1,"reason":"Succeeded","status":"True","type":"Finished"},{"lastTransitionTime":"2026-01-01T00:00:00Z","message":"Deployment ","observedGeneration":1,"reason":"Found","status":"True","type":"TargetResolved"}],"history":[{"finishedAt":"2026-01-01T00:00:00Z","image":"","number":1,"reason":"Succeeded","result":"Succeeded"}],"lastHandledRequest":"","lastRun":{"cause":"First","commandStartedAt":"2026-01-01T00:00:00Z","durationSeconds":1,"exitCode":0,"finishedAt":"2026-01-01T00:00:00Z","generation":1,"image":"localhost/app:1","interpreter":"python3","jobName":"","jobUid":"","key":"v2:","message":"1 migration applied in 1s with image localhost/app:1","number":1,"otherInterpreters":["python"],"reason":"Succeeded","result":"Succeeded","startedAt":"2026-01-01T00:00:00Z","target":{"container":"django","kind":"Deployment","name":"web","uid":""}},"observedGeneration":1,"report":{"action":"applied","count":1,"databases":[{"alias":"default","engine":"postgresql","host":"postgres","name":""}],"names":[""],"settings":"","started":"manage.py of the working directory /app, by /usr/local/bin/python3"}}}"#;

/// A text in less room.
pub struct CompressedText(Box<[u8]>);

impl CompressedText {
    pub fn new(text: &[u8]) -> Self {
        Self(compress_prepend_size_with_dict(text, DICTIONARY).into_boxed_slice())
    }

    /// The text as it was.
    pub fn decompress(&self) -> Result<Vec<u8>, DecompressError> {
        decompress_size_prepended_with_dict(&self.0, DICTIONARY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Anything, or something out of the dictionary.
    fn piece() -> impl Strategy<Value = Vec<u8>> {
        let known = (0..DICTIONARY.len(), 0..DICTIONARY.len());
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..300),
            known.prop_map(|(one, other)| DICTIONARY[one.min(other)..one.max(other)].to_vec()),
        ]
    }

    proptest! {
        #[test]
        fn a_text_comes_back_as_it_was(pieces in proptest::collection::vec(piece(), 0..20)) {
            let text = pieces.concat();
            prop_assert_eq!(CompressedText::new(&text).decompress().unwrap(), text);
        }
    }

    #[test]
    fn a_finished_task_takes_less_than_half() {
        let task = std::str::from_utf8(DICTIONARY)
            .unwrap()
            .replace("00:00:0", "11:59:5")
            .replace("localhost", "registry.example.com");
        assert!(CompressedText::new(task.as_bytes()).0.len() * 2 < task.len());
    }
}
