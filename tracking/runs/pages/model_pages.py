"""What people see of a registered model in MLflow: its descriptions."""

from __future__ import annotations

from tracking.records import EndedTrial, StudyDescription
from tracking.runs.pages.addresses import logged_model_page, run_page, view_page
from tracking.runs.pages.commands import reproduce_command
from tracking.runs.pages.markdown import code_block, link, plain


def model_description(name: str, experiment_id: str) -> str:
    """Returns the description of a study's registered model: what it is, and how to load it.

    Args:
        name: The model's name.
        experiment_id: The study's experiment.
    """
    study = link(name, view_page(experiment_id, "trials"))
    lines = [
        f"Checkpoints of the study {study}. The alias `champion` is on the present choice: the "
        "best trial, the winner of a confirmation, or one that a person promoted.",
        "",
        "It takes samples as the study's data has them: preprocessing is a part of it. The page of "
        "a version shows its signature, and where it comes from. To load it:",
    ]
    address = f"models:/{name}@champion"
    code = [
        "import mlflow",
        "",
        'mlflow.set_tracking_uri("http://127.0.0.1:5000")  # the address of this page',
        f"model = mlflow.keras.load_model({address!r})",
        f"predict = mlflow.pyfunc.load_model({address!r}).predict",
    ]
    return "\n".join([*lines, *code_block(code)]).rstrip()


def version_description(
    description: StudyDescription,
    trial: EndedTrial,
    experiment_id: str,
    run_id: str,
    model_id: str,
) -> str:
    """Returns the description of a version: its trial, epoch and value, and its files.

    Args:
        description: The study, under the trial's engine.
        trial: The trial behind it.
        experiment_id: The study's experiment.
        run_id: The trial's run.
        model_id: MLflow's model.
    """
    _, best = trial.best_training
    command = reproduce_command(description, trial.number, None, several=True)
    files = logged_model_page(experiment_id, model_id)
    folds = trial.result.folds
    of_folds = f" (the mean of {folds} folds; it is trained on all of them)" if folds else ""
    lines = [
        f"{plain(description.objective.metric)} {best.value:.6g} at epoch {best.epoch} of "
        f"{link(f'trial {trial.number}', run_page(experiment_id, run_id))}{of_folds}. Its "
        f"{link('files', files)} have the signature and an input example. To train it again by "
        "plain model.fit, and compare:",
    ]
    return "\n".join([*lines, *code_block([command])]).rstrip()


def with_verdict(text: str, former: str, verdict: str) -> str:
    """Returns a version's description that begins with the verdict on it.

    Args:
        text: The description, which a person may have changed, with a former verdict or without.
        former: The former verdict, or empty.
        verdict: The present verdict, or empty.
    """
    for known in filter(None, (former, verdict)):
        text = text.removeprefix(f"**{plain(known)}**").lstrip()
    return f"**{plain(verdict)}**\n\n{text}" if verdict else text
