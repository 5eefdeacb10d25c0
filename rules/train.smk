rule train:
    """Train or fit one model; its epochs are shown, and kept in the log."""
    input:
        train=training_stores,
        validation=validation_stores,
        code=code_of_run,
        env="envs/torch.yaml",
    output:
        checkpoint=RUN.checkpoint,
        curve=RUN.curve,
    log:
        f"logs/{STUDY.study}/train/{{run}}.log",
    benchmark:
        f"logs/{STUDY.study}/train/{{run}}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=4000,
    params:
        task=task_json,
        model=model_json,
        seed=seed_of,
        preprocess=SETTINGS["preprocess"],
        resume=str(RUN.resume),
        label=label_of,
    shell:
        "python -m crossmod train --task {params.task:q} --model {params.model:q}"
        " --seed {params.seed} --preprocess {params.preprocess:q}"
        " --train {input.train:q} --validation {input.validation:q}"
        " --output {output.checkpoint:q} --curve {output.curve:q}"
        " --resume-dir {params.resume:q} 2>&1 | sed -u 's/^/[{params.label}] /' | tee {log:q}"


rule trained:
    """All trained models."""
    input:
        [run.paths.checkpoint for run in PLAN.runs.values()],
