"""What to do next, as metadata of a check or a materialisation: one sentence, and a link to the job that does it.

Here belongs only the form of that metadata, the same on every surface. What the sentence says and which job it
names belong where the check is."""

import dagster as dg

LOCATION = "hiptriage"  # the code location, as `hiptriage dev` and the services load it


def next_step(job: str, sentence: str) -> dict[str, dg.MetadataValue]:
    """Metadata for a check that is not green: `next step`, the `sentence`, and `job`, a link to the launch form of
    the job named `job`. The path is relative, so that it holds wherever the UI is served."""
    return {
        "next step": dg.MetadataValue.text(sentence),
        "job": dg.MetadataValue.url(f"/locations/{LOCATION}/jobs/{job}/playground"),
    }
