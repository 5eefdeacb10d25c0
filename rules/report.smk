rule report:
    """Write the report."""
    input:
        tables=[
            PLAN.paths.summary(name)
            for name in ("scores", "summary", "comparisons", "experiments")
        ],
        metrics=PLAN.paths.metrics,
        index=[
            PLAN.paths.index(name)
            for name in ("scans", "sessions", "remarks", "split", "unserved")
        ],
        curves=[run.paths.curve for run in PLAN.runs.values()],
        preprocessed=[PLAN.paths.preprocessed(key).status for key in PLAN.used_sessions],
        slices=[PLAN.paths.slices(key) for key in PLAN.used_sessions],
        synthetic=[
            r.paths.synthetic_batch(b) for r in PLAN.runs.values() for b in r.batches
        ],
        code=code("report"),
        env="envs/analysis.yaml",
    output:
        page=report(
            PLAN.paths.report,
            caption="../workflow/report/report.rst",
            category="Report",
            labels={"page": "3 with movable images"},
        ),
        overview=report(
            PLAN.paths.overview,
            caption="../workflow/report/overview.rst",
            category="Report",
            labels={"page": "1 overview"},
        ),
    log:
        f"logs/{STUDY.study}/report.log",
    benchmark:
        f"logs/{STUDY.study}/report.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    params:
        study=STUDY_JSON,
    shell:
        "python -m crossmod report {params.study:q} > {log:q} 2>&1"
