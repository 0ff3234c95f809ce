//! DjangoUser runs `ensureadmin`; free text travels by the environment.

use serde_json::json;

use crate::api::DjangoUser;
use crate::api::user::PasswordPolicy;
use crate::api::{Report, non_empty};
use crate::task::{Command, EnvValue, Runner, TargetLabel, Task};

impl Task for DjangoUser {
    const TARGET_LABEL: TargetLabel = TargetLabel::Django;
    const WAITS_FOR_MIGRATIONS: bool = true;
    const SECRET_FIELD: Option<&str> = Some("passwordSecretRef");

    fn command(&self) -> Command {
        let spec = &self.spec;
        let flag = |value: bool| EnvValue::Text(value.to_string());
        let mut argv: Vec<String> = vec!["ensureadmin".into(), "--update".into()];
        if let Some(database) = non_empty(&spec.database) {
            argv.push(format!("--database={database}"));
        }
        let password =
            EnvValue::Secret { name: spec.password_secret_ref.name.clone(), key: spec.password_secret_ref.key.clone() };
        let mut env = vec![
            ("DJANGO_ADMIN_USERNAME", EnvValue::Text(spec.username.clone())),
            ("DJANGO_ADMIN_EMAIL", EnvValue::Text(spec.email.clone().unwrap_or_default())),
            ("DJANGO_ADMIN_PASSWORD", password),
            (
                "DJANGO_ADMIN_PASSWORD_POLICY",
                EnvValue::Text(match spec.password_policy {
                    PasswordPolicy::Always => "always".into(),
                    PasswordPolicy::OnCreate => "on-create".into(),
                }),
            ),
            ("DJANGO_ADMIN_STAFF", flag(spec.staff)),
        ];
        if let Some(superuser) = spec.superuser {
            env.push(("DJANGO_ADMIN_SUPERUSER", flag(superuser)));
        }
        if !spec.attributes.is_empty() {
            env.push(("DJANGO_ADMIN_ATTRIBUTES", EnvValue::Text(json!(spec.attributes).to_string())));
        }
        Command { env, ..Command::new(Runner::Manage, argv) }
    }

    fn success(&self, report: Option<&Report>) -> (&'static str, String) {
        let action = report.map_or("", |r| r.action.as_str());
        match action {
            "created" => ("UserCreated", format!("user {} created", self.spec.username)),
            "updated" => ("UserUpdated", format!("user {} updated", self.spec.username)),
            "" => ("UserEnsured", format!("user {} is as specified", self.spec.username)),
            _ => ("UserUnchanged", format!("user {} was already as specified", self.spec.username)),
        }
    }
}
