rule evaluate:
    """Score one batch of synthetic images of one model."""
    input:
        synthetic=RUN.synthetic_batch("{batch}"),
        preprocessed=batch_preprocessed,
        slices=batch_stores,
        code=code("evaluate"),
        env="envs/analysis.yaml",
    output:
        scores=RUN.scores("{batch}"),
        status=RUN.scored_batch("{batch}"),
    log:
        f"logs/{STUDY.study}/evaluate/{{run}}/{{batch}}.log",
    benchmark:
        f"logs/{STUDY.study}/evaluate/{{run}}/{{batch}}.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=3000,
    params:
        run_keys=run_json,
        protocols=STUDY.evaluation.protocols,
        sensitivity=sensitivity_option,
    shell:
        "python -m crossmod evaluate --run {params.run_keys:q} --synthetic {input.synthetic:q}"
        " --preprocessed {input.preprocessed:q} --slices {input.slices:q}"
        " --protocols {params.protocols} {params.sensitivity}"
        " --output {output.scores:q} --status {output.status:q} > {log:q} 2>&1"


rule summarize:
    """Means, intervals and tests over all scores."""
    input:
        scores=[r.paths.scores(b) for r in PLAN.runs.values() for b in r.batches],
        curves=[run.paths.curve for run in PLAN.runs.values()],
        split=PLAN.paths.index("split"),
        code=code("summarize"),
        env="envs/analysis.yaml",
    output:
        scores=report(
            PLAN.paths.summary("scores"),
            caption="../workflow/report/scores.rst",
            category="Tables",
            labels={"table": "scores"},
        ),
        summary=report(
            PLAN.paths.summary("summary"),
            caption="../workflow/report/summary.rst",
            category="Tables",
            labels={"table": "summary"},
        ),
        comparisons=report(
            PLAN.paths.summary("comparisons"),
            caption="../workflow/report/comparisons.rst",
            category="Tables",
            labels={"table": "comparisons"},
        ),
        experiments=report(
            PLAN.paths.summary("experiments"),
            caption="../workflow/report/experiments.rst",
            category="Tables",
            labels={"table": "experiments"},
        ),
        curves=report(
            PLAN.paths.summary("curves"),
            caption="../workflow/report/curves.rst",
            category="Tables",
            labels={"table": "curves"},
        ),
        metrics=PLAN.paths.metrics,
    log:
        f"logs/{STUDY.study}/summarize.log",
    benchmark:
        f"logs/{STUDY.study}/summarize.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    params:
        study=STUDY_JSON,
    shell:
        "python -m crossmod summarize {params.study:q} > {log:q} 2>&1"


rule evaluated:
    """All scores and statistics."""
    input:
        PLAN.paths.metrics,
