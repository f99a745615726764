from __future__ import annotations

import pytest

from pullpass.web.image_scan import MOST, images_in

MANIFEST = """
apiVersion: apps/v1
kind: Deployment
spec:
  template:
    spec:
      initContainers: [{name: init, image: "ghcr.io/acme/init:1"}]
      containers:
        # image: commented/out
        - image: ghcr.io/acme/app@sha256:0000  # pinned
          imagePullPolicy: Always
        - name: side
          "image": 'quay.io/acme/side:2'
        - image: ghcr.io/acme/init:1
"""
COMPOSE = """
services:
  web:
    image: "nginx:${TAG:-1.27}"
    build: .
  db: {image: postgres:16}
"""
HELM = """
image:
  registry: ghcr.io
  repository: acme/app
  tag: "1.2"   # the release
  pullPolicy: Always
sidecar:
  image: # below
    tag: 3
    repository: acme/side
replicas: 1
"""
DOCKERFILE = """
FROM --platform=linux/amd64 golang:1.26 AS build
RUN go build
FROM scratch
FROM build AS test
FROM gcr.io/distroless/static
"""


@pytest.mark.parametrize(
    ("text", "images"),
    [
        ("", []),
        ("nginx", ["nginx"]),
        (" ghcr.io/a/b:1, quay.io/c\n# no\nnginx nginx", ["ghcr.io/a/b:1", "quay.io/c", "nginx"]),
        (MANIFEST, ["ghcr.io/acme/init:1", "ghcr.io/acme/app@sha256:0000", "quay.io/acme/side:2"]),
        (COMPOSE, ["nginx:${TAG:-1.27}", "postgres:16"]),
        (HELM, ["ghcr.io/acme/app:1.2", "acme/side:3"]),
        (DOCKERFILE, ["golang:1.26", "gcr.io/distroless/static"]),
        ('{"containers": [{"image": "a/b"},{"name":"x","image":"c/d"}]}', ["a/b", "c/d"]),
        ("kind: Service\nspec:\n  ports: []\n", []),
        ("image: {{ .Values.image }}", []),
        ("image: 'not an image!'", ["not an image!"]),
    ],
)
def test_images_are_found_in_what_people_paste(text: str, images: list[str]) -> None:
    assert images_in(text) == images


def test_no_more_than_the_most_are_taken() -> None:
    assert len(images_in(" ".join(f"a/{number}" for number in range(MOST + 5)))) == MOST


def test_values_far_below_are_not_those_of_the_image() -> None:
    comments = "  # more\n" * 30
    assert images_in(f"image:\n{comments}  repository: acme/near\n") == ["acme/near"]
    # Else each `image:` would look at all that follows it, and a paste could keep a server busy.
    far = "image:\n" + comments * 3 + "  repository: acme/far\n"
    assert "acme/far" not in images_in(far)
