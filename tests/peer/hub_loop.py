"""The peer's own code at work on a hub that breaks off: what is begun, done and failed, as JSON, one line each."""

import json
import os
import sys
import tempfile
import threading
from pathlib import Path

import requests
from blake3 import blake3

from gen_worker.models.hub_client import resolve_repo
from gen_worker.models.refs import parse_model_ref
from gen_worker.presigned_upload import presigned_upload_file

CALL = json.loads(sys.argv[1])
URL, TOKEN, NAME = CALL["url"], CALL["token"], CALL["name"]
OWNER = "acme"
HEADERS = {"Authorization": f"Bearer {TOKEN}", "X-Cozy-Owner": OWNER}

# Contents that everybody has: they lose their last name and get one again all the time.
SHARED = 4

TELL = threading.Lock()


def tell(event, **what):
    with TELL:
        print(json.dumps({"event": event, **what}), flush=True)


def content(seed, size):
    return blake3(seed.encode()).digest(length=size)


def hex_of(data):
    return blake3(data).hexdigest()


def upload(data, prefix, create, folder):
    file = Path(folder) / "file"
    file.write_bytes(data)
    return presigned_upload_file(
        file_path=file,
        base_url=URL,
        endpoint_path=prefix,
        headers=HEADERS,
        create_payload=create,
        blake3_hex=hex_of(data),
        size_bytes=len(data),
    )


def media(thread, turn, folder):
    """A ref of its own with a content that others have, and now and then one that stays."""
    if turn % 3:
        ref, data = f"slots/{thread}", content(f"shared {turn % SHARED}", 150_000)
    else:
        ref, data = f"kept/{thread}/{turn}", content(f"{thread} {turn}", 100_000)
    what = {"client": thread, "op": "media", "ref": ref, "blake3": hex_of(data)}
    tell("begin", **what)
    upload(data, f"/api/v1/media/{OWNER}/uploads", {"ref": ref, "request_id": "r1"}, folder)
    tell("done", **what)


def session(thread, turn, folder):
    """A file of a trainer, with boto3."""
    data = content(f"{thread} session {turn}", 120_000)
    what = {"client": thread, "op": "blob", "blake3": hex_of(data)}
    repo = f"/api/v1/repos/{OWNER}/tuned/revisions"
    opened = requests.post(f"{URL}{repo}", headers=HEADERS, json={"job_id": "j1"}, timeout=30)
    opened.raise_for_status()
    path = f"{repo}/{opened.json()['session_id']}/uploads"
    tell("begin", **what)
    upload(data, path, {"path": f"step-{turn}.bin"}, folder)
    tell("done", **what)


def commit(thread, turn, folder):
    """A checkpoint of two files, one of which others have; then it is resolved."""
    from gen_worker.convert.hub import HubClient, files_from_tree

    repo, tree = f"{OWNER}/model-{thread}", Path(folder) / "tree"
    tree.mkdir(exist_ok=True)
    files = {"own.bin": content(f"{thread} commit {turn}", 90_000), "shared.bin": content(f"shared {turn % SHARED}", 150_000)}
    for path, data in files.items():
        (tree / path).write_bytes(data)
    hashes = {path: hex_of(data) for path, data in files.items()}
    what = {"client": thread, "op": "commit", "repo": repo, "files": hashes}
    tell("begin", **what)
    client = HubClient(base_url=URL, token=TOKEN, owner=OWNER)
    done = client.commit(destination_repo=repo, files=files_from_tree(tree), mode="replace")
    tell("done", checkpoint=done.checkpoint_id, **what)
    resolved = resolve_repo(parse_model_ref(repo).tensorhub, base_url=URL, token=TOKEN)
    if {file.path: file.blake3 for file in resolved.files} != hashes:
        tell("wrong", client=thread, op="resolve")


def work(kind, number):
    thread = f"{NAME}-{kind.__name__}-{number}"
    turn = 0
    with tempfile.TemporaryDirectory() as folder:
        while True:
            try:
                kind(thread, turn, folder)
            except Exception as error:
                tell("failed", client=thread, op="any", error=f"{type(error).__name__}: {error}"[:300])
            turn += 1


def main():
    kinds = [globals()[kind] for kind in CALL["kinds"]]
    for number, kind in enumerate(kinds):
        threading.Thread(target=work, args=(kind, number), daemon=True).start()
    # Ends with whoever started it.
    sys.stdin.read()
    os._exit(0)


main()
