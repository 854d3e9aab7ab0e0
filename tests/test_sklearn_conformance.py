"""Every check that scikit-learn generates, plus those it keeps for its own classes."""

import os

import pytest
from estimators import ESTIMATORS, name_of
from sklearn.ensemble import IsolationForest
from sklearn.utils import estimator_checks as checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from aedetect import MAD, ConformalDetector, PCADetector, RobustCore, TableEncoder, Threshold

# Those checks learn from noise, of which a code rightly tells nothing, and from a few rows.
pytestmark = pytest.mark.filterwarnings(
    "ignore:The posterior has collapsed",
    "ignore:The network did not learn",
    "ignore:X has [2-5] rows",
    "ignore:All columns of X are constant",
    "ignore:Columns have unlike scales",
)


def test_array_api_checks_are_on():
    assert os.environ["SCIPY_ARRAY_API"] == "1"


FOREST = IsolationForest(n_estimators=20, random_state=0)
WRAPPERS = [  # alpha is large for the checks that fit on 10 rows
    ConformalDetector(estimator=FOREST, alpha=0.4),
    ConformalDetector(estimator=PCADetector(), method="cross", alpha=0.4),
    ConformalDetector(estimator=PCADetector(), method="jackknife+", alpha=0.4),
    Threshold(estimator=PCADetector()),
    Threshold(estimator=FOREST, rule=MAD(k=2)),
]
GENERATED = parametrize_with_checks([*ESTIMATORS, *WRAPPERS, RobustCore(), TableEncoder()])


# A list, as pytest 9.1 deprecates the generator that scikit-learn 1.9.0 gives it.
@pytest.mark.parametrize(GENERATED.args[0], list(GENERATED.args[1]), ids=GENERATED.kwargs["ids"])
def test_scikit_learn_check(estimator, check):
    check(estimator)


# What scikit-learn runs on its own estimators only.
ITS_OWN = [
    "check_no_attributes_set_in_init",
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_fit_check_is_fitted",
    "check_n_features_in",
    "check_fit1d",
    "check_fit2d_predict1d",
    "check_dataframe_column_names_consistency",
    "check_transformer_get_feature_names_out",
    "check_transformer_get_feature_names_out_pandas",
    "check_set_output_transform",
    "check_set_output_transform_pandas",
    "check_global_output_transform_pandas",
]


@pytest.mark.filterwarnings("ignore:X (does not have|has)")  # those checks mix both
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=name_of)
@pytest.mark.parametrize("name", ITS_OWN)
def test_check_kept_for_scikit_learns_own(estimator, name):
    getattr(checks, name)(type(estimator).__name__, estimator)
