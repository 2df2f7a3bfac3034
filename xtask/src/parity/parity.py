"""PyTorch's side of the parity check: reference embeddings and reference timings.

    parity.py fixture <model dir> <output.json>    write embeddings of fixed sentences
    parity.py turns <model dir>                    time fixed batches, one for each line of standard input

Both compute what sentence-transformers computes for a mean-pooled, normalised BERT: tokenize, pad to the longest
text of the batch, encode, mask, average, normalise. Two threads, no compilation.
"""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

THREADS = 2

# One-token words of the BERT vocabulary: a text of n words has n + 2 tokens.
WORDS = (
    "time year people way day man thing woman life child world school state family student group country problem "
    "hand part place case week company system program question work government number night point home water room "
    "mother area money story fact"
).split()

SENTENCES = [
    "A man is eating food.",
    "A man is eating a piece of bread.",
    "The girl is carrying a baby.",
    "A woman is playing violin.",
    "Two men pushed carts through the woods.",
    "The quick brown fox jumps over the lazy dog.",
    "the quick brown fox jumps over the lazy dog",
    "Hello",
    "a",
    "",
    " ",
    "!?...",
    "3.14159 is roughly pi; 2,718 is not e.",
    "Café naïve façade, coöperate, jalapeño — “quotes” … and ‘more’.",
    "東京は日本の首都です。",
    "Привет, как дела?",
    "مرحبا بالعالم",
    "🙂🚀 emoji and text 👩‍👩‍👧‍👦",
    "e\u0301 combining and \u00e9 composed",
    "tabs\tand\nnewlines\r\nand\u00a0non-breaking\u200bzero width",
    "https://example.org/path?query=value&other=1#fragment",
    "def f(x): return x ** 2  # code",
    "supercalifragilisticexpialidocious antidisestablishmentarianism " + "x" * 150,
    "Sentence embeddings map a text to a vector so that texts of similar meaning lie close together. " * 3,
    "word " * 254,
    "word " * 255,
    "A text that is much longer than the model reads, and is cut. " * 60,
]


def words(text: int, tokens: int) -> str:
    """Text number `text` with exactly `tokens` tokens."""
    return " ".join(WORDS[(text * 7 + index * 3) % len(WORDS)] for index in range(tokens - 2))


def batches() -> dict[str, list[str]]:
    """The batches that are timed, by name."""
    return {
        "1x16": [words(0, 16)],
        "32x16": [words(text, 16) for text in range(32)],
        "16x86": [words(text, 86) for text in range(16)],
        "32xmixed": [words(text, 14 + (text * 13 % 32) * 58 // 31) for text in range(32)],
    }


class Embedder:
    """The model, loaded into PyTorch."""

    def __init__(self, model_dir: str, attention: str):
        import torch
        from transformers import AutoModel, AutoTokenizer

        torch.set_num_threads(THREADS)
        self.torch = torch
        self.tokenizer = AutoTokenizer.from_pretrained(model_dir)
        self.model = AutoModel.from_pretrained(
            model_dir, attn_implementation=attention, dtype=torch.float32, add_pooling_layer=False
        ).eval()
        sentence = Path(model_dir, "sentence_bert_config.json")
        self.tokens_max = json.loads(sentence.read_text())["max_seq_length"] if sentence.exists() else 512

    def embed(self, texts: list[str]):
        """Embeddings and token counts of one padded batch."""
        torch = self.torch
        with torch.inference_mode():
            inputs = self.tokenizer(
                texts, padding=True, truncation=True, max_length=self.tokens_max, return_tensors="pt"
            )
            hidden = self.model(**inputs).last_hidden_state
            mask = inputs["attention_mask"].unsqueeze(-1).to(hidden.dtype)
            pooled = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
            return torch.nn.functional.normalize(pooled, dim=1), inputs["attention_mask"].sum(1).tolist()


def fixture(model_dir: str, output: str) -> None:
    """Write the reference embeddings, each text computed alone."""
    import torch
    import transformers

    embedder = Embedder(model_dir, "eager")
    rows = []
    for text in SENTENCES:
        vectors, counts = embedder.embed([text])
        rows.append({"text": text, "tokens": counts[0], "embedding": [round(x, 9) for x in vectors[0].tolist()]})
    document = {
        "model": Path(model_dir).name,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "rows": rows,
    }
    lines = ",\n".join(json.dumps(row) for row in rows)
    head = json.dumps({key: value for key, value in document.items() if key != "rows"})[:-1]
    Path(output).write_text(f'{head}, "rows": [\n{lines}\n]}}\n')


def measure_ms(work, seconds: float = 1.0, rounds_min: int = 5) -> float:
    """Median time of `work` over at least `rounds_min` rounds and `seconds`, after a round of warm-up."""
    work()
    times = []
    end = time.perf_counter() + seconds
    while len(times) < rounds_min or time.perf_counter() < end:
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1e3)
    return round(statistics.median(times), 3)


def first_embedding_ms(model_dir: str) -> float:
    """Median time from process start to the first embedding, of three processes."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        with subprocess.Popen([sys.executable, __file__, "first", model_dir], stdout=subprocess.PIPE) as child:
            child.stdout.readline()
            times.append((time.perf_counter() - start) * 1e3)
        if child.returncode != 0:
            raise SystemExit(f"the process for the first embedding ended with {child.returncode}")
    return round(statistics.median(times), 1)


def turns(model_dir: str) -> None:
    """Answer each line, the name of a batch or `first`, with its time in each attention implementation, as JSON."""
    embedders = {attention: Embedder(model_dir, attention) for attention in ("eager", "sdpa")}
    for line in sys.stdin:
        name = line.strip()
        if name == "first":
            ms = {"sdpa": first_embedding_ms(model_dir)}
        else:
            texts = batches()[name]
            expected = [len(text.split()) + 2 for text in texts]
            ms = {}
            for attention, embedder in embedders.items():
                _, counts = embedder.embed(texts)
                if counts != expected:
                    raise SystemExit(f"batch {name} has {counts} tokens, expected {expected}")
                ms[attention] = measure_ms(lambda embedder=embedder: embedder.embed(texts))
        print(json.dumps({"ms": ms}), flush=True)


def main() -> None:
    match sys.argv[1:]:
        case ["fixture", model_dir, output]:
            fixture(model_dir, output)
        case ["turns", model_dir]:
            turns(model_dir)
        case ["first", model_dir]:
            print(len(Embedder(model_dir, "sdpa").embed([words(0, 16)])[0][0]), flush=True)
        case _:
            raise SystemExit(__doc__)


main()
