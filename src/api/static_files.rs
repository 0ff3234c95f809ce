//! DjangoStatic: static files, collected to where the web server or the storage serves them.

use super::Column;
use super::kind::task_kind;

task_kind! {
    DjangoStatic: kube(
        kind = "DjangoStatic",
        plural = "djangostatics",
        shortname = "djs",
        status = "DjangoStaticStatus",
        doc = "Static files, collected in a Job that copies the labelled Deployment."
    );
    columns: [
        Column::TARGET,
        Column::new("Files", "integer", ".status.report.count").wide(),
    ];
    defaults: [];
    rules: [];
    completed_at: DjangoStaticStatus.collected, "When the files were last collected.";
    sample: SAMPLE;

    /// Static files, collected by Django's own command `collectstatic`.
    pub struct DjangoStaticSpec {
        /// Delete the files that are there before collecting. Old pods may still serve them. Default: false.
        #[serde(default)]
        pub clear: bool,

        /// Patterns of files to leave out, as the shell writes them. At most 32, each of 1 to 255
        /// characters. Default: none. Example: `["*.scss"]`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[schemars(length(max = 32), extend("items" = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[^\x00-\x1f\x7f]+$"}))]
        pub ignore: Vec<String>,

        /// Link to the files instead of copying them. Default: false.
        #[serde(default)]
        pub link: bool,
    }
}

const SAMPLE: &str = r#"# Static files, collected to where the target's volume is.
apiVersion: django.my.domain/v1alpha1
kind: DjangoStatic
metadata:
  name: collect-static
  namespace: django-operator
spec: {}
"#;
