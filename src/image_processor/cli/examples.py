"""An example or two of each command, which its help ends with."""

from __future__ import annotations

EXAMPLES = {
    "process": (
        "process photos/ -o out",
        "process photos/ -o out --recipe recipe.toml --skip-existing",
        "process photos/ -o out --name '{stem}-{width}.{ext}'",
    ),
    "transform": (
        "transform cat.jpg width=640,quality=80 -o cat.webp",
        "transform - w=200,h=200,fit=crop,fm=avif -o - < cat.jpg > cat.avif",
    ),
    "sign": ("sign 'photos/cat.jpg?w=640&fm=auto' --for 7d",),
    "translate": (
        "translate /rs:fit:300:200/plain/cat.jpg@webp",
        "translate --log access.log",
    ),
    "srcset": (
        "srcset photos/cat.jpg --sizes 50vw --alt 'A cat'",
        "srcset photos/cat.jpg --widths 320,640,1280 --only picture",
    ),
    "serve": ("serve", "serve --data /var/lib/images --port 8080"),
    "token create": ("token create --scope write --name editor",),
    "upload": (
        "upload photos/ --prefix holiday/ --server https://images.example",
        "upload cat.jpg --stack image-processor",
        "upload https://cdn.example/photos/cat.jpg",
    ),
    "delete": ("delete holiday/cat.jpg --server https://images.example",),
    "open": ("open holiday/cat.jpg", "open holiday/cat.jpg --stack image-processor"),
    "list": ("list --status refused", "list --prefix photos/ --json"),
    "show": ("show photos/cat.jpg",),
    "similar": ("similar photos/cat.jpg --distance 4",),
    "reconcile": ("reconcile --dry-run", "reconcile --aws --stack image-processor"),
    "backup": ("backup catalog.bak",),
    "restore": ("restore catalog.bak --force",),
    "cost": ("cost --uploads 100000",),
    "doctor": ("doctor",),
    "bench": ("bench photos/", "bench photos/ --recipe recipe.toml --runs 9"),
    "dead-letters list": ("dead-letters list --stack image-processor",),
    "dead-letters show": ("dead-letters show MESSAGE-ID --stack image-processor",),
    "dead-letters redrive": ("dead-letters redrive --stack image-processor",),
    "events list": ("events list",),
    "events redrive": ("events redrive",),
    "backfill manifest": ("backfill manifest --stack image-processor --prefix photos/",),
    "recipe check": ("recipe check recipe.toml",),
    "completion": (
        "completion bash > /etc/bash_completion.d/image-processor",
        "completion fish > ~/.config/fish/completions/image-processor.fish",
    ),
    "recipe show": ("recipe show > recipe.toml",),
}
"""The arguments of examples by command; a group's by group and command."""


def epilog_of(name: str) -> str | None:
    """The paragraph with the examples of a command, None if it has none."""
    examples = EXAMPLES.get(name)
    if examples is None:
        return None
    label = "Examples:" if len(examples) > 1 else "Example:"
    # A blank line makes a line break in what typer prints.
    return "\n\n".join([label, *(f"    image-processor {example}" for example in examples)])
