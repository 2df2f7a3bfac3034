//! Where a hub keeps what it has, when that is not its directory. Rows only.

use super::rows;

rows! {
    GEN_WORKER_HUB_DATABASE {
        flag: "hub --database",
        default: "the file `hub.sqlite` in the hub's directory",
        meaning: "PostgreSQL database of the metadata, `postgres://user:password@host/name?sslmode=require`. A password belongs here: \
                  command lines are public on the machine."
    }
    GEN_WORKER_HUB_OBJECTS {
        flag: "hub --objects",
        default: "the directory `objects` in the hub's directory",
        meaning: "Bucket of the objects, `s3://bucket/prefix`."
    }
    GEN_WORKER_HUB_OBJECTS_READS {
        flag: "hub --objects-reads",
        default: "`bucket` at Amazon, `hub` with AWS_ENDPOINT_URL",
        meaning: "How clients read what is in the bucket: `bucket` by presigned addresses of it, an address of the bucket that clients \
                  reach when the hub has another, or `hub`."
    }
    GEN_WORKER_HUB_SECRET_FILE {
        flag: "hub --secret-file, hub token --secret-file",
        default: "the file `secret` in the hub's directory",
        meaning: "File with the secret of the hub. All processes of one hub have the same."
    }
    AWS_ENDPOINT_URL {
        flag: "hub --objects-endpoint",
        default: "Amazon S3",
        meaning: "Where the bucket of a hub is, when it is not at Amazon."
    }
    AWS_REGION {
        aliases: ["AWS_DEFAULT_REGION"],
        flag: "hub --objects-region",
        default: "us-east-1",
        meaning: "Region of the bucket of a hub."
    }
    AWS_ACCESS_KEY_ID {
        default: "the role of the machine",
        meaning: "Key to the bucket of a hub. There is no flag for it: command lines are public on the machine."
    }
    AWS_SECRET_ACCESS_KEY {
        default: "the role of the machine",
        meaning: "The secret that goes with AWS_ACCESS_KEY_ID."
    }
    AWS_SESSION_TOKEN {
        default: "empty",
        meaning: "The token of keys that last for a while."
    }
}
