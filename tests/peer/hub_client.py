"""The peer's own code against a hub: one call, told and answered as JSON on one line."""

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

from blake3 import blake3

from gen_worker.models.cozy_snapshot import ensure_snapshot_async
from gen_worker.models.hub_client import resolve_repo
from gen_worker.models.refs import parse_model_ref
from gen_worker.presigned_upload import blake3_hash_file, presigned_upload_file
from gen_worker.request_context import ConversionContext, DatasetContext, RequestContext


def context(kind, call):
    return kind(
        request_id="r1",
        owner=call["owner"],
        file_api_base_url=call["url"],
        worker_capability_token=call["token"],
    )


def resolved(call):
    ref = parse_model_ref(call["ref"]).tensorhub
    return ref, resolve_repo(ref, base_url=call["url"], token=call.get("token"))


def resolve(call):
    _, repo = resolved(call)
    files = {file.path: [file.blake3, file.size_bytes] for file in repo.files}
    return {"digest": repo.snapshot_digest, "files": files}


def pull(call):
    ref, repo = resolved(call)
    path = Path(asyncio.run(ensure_snapshot_async(base_dir=Path(call["dir"]), ref=ref, resolved=repo)))
    files = (file for file in path.rglob("*") if file.is_file())
    return {file.relative_to(path).as_posix(): blake3(file.read_bytes()).hexdigest() for file in files}


def save(call):
    """An upload below any prefix: of media, or of an open revision."""
    file = Path(call["file"])
    result = presigned_upload_file(
        file_path=file,
        base_url=call["url"],
        endpoint_path=call["prefix"],
        headers={"Authorization": f"Bearer {call['token']}", "X-Cozy-Owner": call["owner"]},
        create_payload=call["create"],
        blake3_hex=blake3_hash_file(file),
        size_bytes=file.stat().st_size,
    )
    return {"meta": result.meta, "dedup": result.dedup}


def save_bytes(call):
    asset = context(RequestContext, call).save_bytes(call["ref"], call["text"].encode())
    return {"ref": asset.ref, "size_bytes": asset.size_bytes, "sha256": asset.sha256, "mime_type": asset.mime_type}


SLEPT = []


def commit(call):
    if call.get("without_waits"):
        # How long it would wait between two tries is told instead.
        time.sleep = SLEPT.append
    # Of the newer peer; the older one keeps it in a package of its own.
    from gen_worker.convert.hub import HubClient, files_from_tree

    client = HubClient(base_url=call["url"], token=call["token"], owner=call["owner"])
    files = files_from_tree(Path(call["dir"]))
    done = client.commit(destination_repo=call["repo"], files=files, **call.get("options", {}))
    return {"uploaded": done.uploaded, "deduped": done.deduped, "checkpoint_id": done.checkpoint_id}


def metadata(call):
    producer, repo = context(ConversionContext, call), call["repo"]
    before = producer.read_repo_metadata(destination_repo=repo)
    written = producer.write_repo_metadata(destination_repo=repo, metadata=call["metadata"])
    after = producer.read_repo_metadata(destination_repo=repo)
    return {"before": before, "written": written, "after": after}


def blob(call):
    with tempfile.TemporaryDirectory() as directory:
        path = context(ConversionContext, call).materialize_blob(call["digest"], Path(directory) / "blob")
        return blake3(path.read_bytes()).hexdigest()


def dataset(call):
    """Publishes, publishes again, and reads back."""
    producer, name = context(DatasetContext, call), call["dataset"]
    publish = {
        "destination_dataset": name,
        "features_json": {"prompt": {"_type": "Value", "dtype": "string"}},
        "snapshot_manifest": call["manifest"],
        "kind": "prompt_corpus",
    }
    first = producer.publish_dataset_revision(**publish)
    again = producer.publish_dataset_revision(**publish)
    root = Path(producer.resolve_dataset(name))
    # The newer peer asks for the files of one form only.
    paths = (entry["path"] for entry in call["manifest"] if (root / entry["path"]).is_file())
    files = {path: blake3((root / path).read_bytes()).hexdigest() for path in paths}
    return {"existed": [first["existed"], again["existed"]], "files": files}


def renew(call):
    """One renewal, and then the loop of the newer peer up to the next one."""
    from gen_worker.capability_renewal import renew_capability_while_running, renew_once

    job = {"file_base_url": call["url"], "request_id": call["request_id"], "attempt": call["attempt"]}
    token, expires = renew_once(**job, worker_jwt=call["worker"], capability_token=call["token"])

    async def renewed():
        done = asyncio.get_running_loop().create_future()
        loop = renew_capability_while_running(
            **job,
            get_worker_jwt=lambda: call["worker"],
            get_token=lambda: done.result() if done.done() else call["token"],
            set_token=done.set_result,
        )
        task = asyncio.ensure_future(loop)
        await asyncio.wait({done, task}, return_when=asyncio.FIRST_COMPLETED)
        task.cancel()
        return done.result() if done.done() else None

    return {"token": token, "expires": expires, "loop": asyncio.run(renewed())}


def main():
    call = json.loads(sys.argv[1])
    try:
        answer = {"ok": globals()[call["call"]](call)}
    except Exception as error:
        answer = {"error": type(error).__name__, "message": str(error)}
    print(json.dumps({**answer, "slept": SLEPT}))


main()
