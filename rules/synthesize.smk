rule synthesize:
    """Make the target of one batch of sessions with one model."""
    input:
        checkpoint=RUN.checkpoint,
        preprocessed=batch_preprocessed,
        slices=batch_stores,
        code=code("synthesize"),
        env="envs/torch.yaml",
    output:
        status=RUN.synthetic_batch("{batch}"),
    log:
        f"logs/{STUDY.study}/synthesize/{{run}}/{{batch}}.log",
    benchmark:
        f"logs/{STUDY.study}/synthesize/{{run}}/{{batch}}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=3000,
    params:
        folder=str(RUN.synthetic),
    shell:
        "python -m crossmod synthesize-batch --model {input.checkpoint:q}"
        " --preprocessed {input.preprocessed:q} --slices {input.slices:q}"
        " --output-dir {params.folder:q} --output {output.status:q} > {log:q} 2>&1"


rule synthesized:
    """All synthetic images."""
    input:
        [r.paths.synthetic_batch(b) for r in PLAN.runs.values() for b in r.batches],
