"""What is public: the names of the packages in the reference, and no others. A change here is a change for users."""

import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
PACKAGES = {
    "fwsim": """
        AugmentedRelease BCPNN BennaFusi CalciumRecovery ConfigError Delta DivergedError Enhancement
        FastWeightNetwork FwsimError Hebbian
        HebbianTraces Hz IndependentDepression LinearNonlinear Product Projection RateNetwork Record
        RecordingError ShapeError State StochasticRelease TsodyksMarkram Varela compare_rules
        continuous divisive equilibrium fit fit_population fitting held kHz layer_norm load_state mV measure measured
        minute models ms open_recording per_second relu rules second siegert simulate softplus
        spiking study subtractive sweep tanh tasks theory training us volt
    """,
    "fwsim.rules": """
        AssociativeRule AugmentedRelease BCPNN BennaFusi CalciumRecovery Delta Enhancement Hebbian HebbianTraces
        IndependentDepression LinearNonlinear MemoryRule
        PresynapticRule Product RULES SteadyState StochasticRelease TsodyksMarkram Varela described_rule
    """,
    "fwsim.engine": """
        FastWeightNetwork Plan Projection RateNetwork RecursiveNetwork State continuous divisive equilibrium
        held layer_norm load_state per_second relu siegert simulate softplus subtractive tanh
    """,
    "fwsim.recording": """
        Difference Extent Record Recorder SCHEMA VARIABLES Variable as_records can_resume checksums finished
        first_difference labelled labelled_dataset open_recording provenance read_nwb write_netcdf write_nwb
    """,
    "fwsim.spiking": """
        Assembly Circuit Connection EVENTS MEASUREMENTS Measurement PoissonGenerator Population Pulse SpikeGenerator
        Verdict build drawn_synapses first_release from_neo from_pynapple heterogeneous_circuit judge measured_by
        measurements mongillo_circuit pooled rate_drive rate_network read_spikes resolved_network respond simulate
        simulate_rates simulate_resolved slow_current_circuit stimulus to_neo to_pynapple
    """,
    "fwsim.measure": """
        Composite InnerLoop NetworkMap attention autocorrelation_time basins bootstrap continuation convergence
        covariant_vectors decode dynamical_distance energy fano_factor firing_rate fixed_points forgetting_curve
        half_time information inner_path isi_cv joint_energy limit_cycles linear_cka loops lyapunov_exponents overlap
        participation_ratio principal_components procrustes_distance retention synchrony welch
    """,
    "fwsim.fitting": """
        Chains Fit FittedPopulation Interval MeasuredClass Posterior Responses Simulator SynapseDraws TRAINS choose
        class_table compare_populations compare_rules differences fit fit_population gather measured noise_floor
        read_pairs read_table report shares simulator synthetic_pairs synthetic_table to_arviz without_held_out
    """,
    "fwsim.tasks": """
        AssociativeRetrieval BracketSequences Catch CatchEnvironment DelayedMatch DualMatch GlimpseLayout
        LabelledImages Motion NestedBrackets Positions Sequences SequentialMatch
        SupervisedTrials Trials load_mnist read_idx split_mnist supervised
    """,
    "fwsim.models": """
        ActorCritic AdvantageActorCritic CORES Control Core DeepTransitionRNN Draws Episodes LSTM
        LayerNormLSTM MatchingNetwork Player SequenceClassifier Signed advantages core draw mean_return
        mixed_synapses parameter_count pick play watching
    """,
    "fwsim.theory": """
        Entrained FixedPoints Frozen HeldOscillation PlasticActivity QuadraticActivity Recall RecalledState Spectrum
        StoredPattern attention_span binary_information binding_plateau chaos_autocorrelation decay_from_tau
        entrained_activity epsilon_from_tau fixed_point_threshold half_life
        hopfield_capacity hopfield_overlap one_step_overlap palimpsest_capacity palimpsest_information
        palimpsest_optimum palimpsest_overlap pattern_threshold plastic_autocorrelation
        plastic_fixed_points quadratic_drive
        quadratic_mean_field recall_capacity recall_dynamics recalled_state stored_pattern tau_from_decay
        tau_from_epsilon
    """,
    "fwsim.training": """
        InnerSteps Training cross_entropy error_rate load_checkpoint load_weights shuffled train
        train_classifier train_trials train_varied trial_loss varied
    """,
    "fwsim.study": """
        COLOURS Config Context Design Duration Experiment Hertz Interrupted Repetition Report Run Seconds StudyError
        SweptPoint Versions Volts again analyse compare configuration design each_point each_run each_setting errorbars
        figure finite formatted house_style join_runs load_experiment mean_interval pick_device points resume
        resume_sweep run search standard_error sweep verdict write_report
    """,
    "fwsim.explore": """
        Scene open_scene serve
    """,
}
MODULES = ("fwsim.errors", "fwsim.progress", "fwsim.units")
"""Without a list of names of their own: all that they define is public, but for what begins with `_`."""


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_are_these(package):
    public = import_module(package).__all__
    assert sorted(name for name in public if not name.startswith("__")) == PACKAGES[package].split()


def test_the_reference_has_these_packages_and_no_internal_module():
    pages = "\n".join(path.read_text() for path in REFERENCE.glob("*.md"))
    documented = set(re.findall(r"automodule:: (\S+)", pages))
    assert documented == {*PACKAGES, *MODULES} - {"fwsim"}


def documented_parameters(given):
    """Names below "Parameters" in a docstring."""
    text = inspect.cleandoc(given.__doc__ or "")
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\S[^\n]*\n-+$|\Z)", text, re.DOTALL | re.MULTILINE)
    lines = section[1].splitlines() if section else []
    return [name for line in lines if line and line[0] != " " for name in line.split(", ")]


@pytest.mark.parametrize("package", PACKAGES)
def test_documented_parameters_exist(package):
    found = [getattr(import_module(package), name) for name in PACKAGES[package].split()]
    mine = [each for each in found if callable(each) and each.__module__.startswith("fwsim")]
    methods = [
        method
        for each in mine
        if inspect.isclass(each)
        for name, method in vars(each).items()
        if inspect.isfunction(method) and name[0] != "_"
    ]
    for each in filter(documented_parameters, (*mine, *methods)):
        assert {*documented_parameters(each)} <= {*inspect.signature(each).parameters}, each.__qualname__
