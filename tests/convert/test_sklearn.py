"""scikit-learn estimators and pipelines, as ONNX, beside scikit-learn."""

import pickle

import numpy as np
import pytest

import edgeonnx
from edgeonnx.errors import ConvertError
from edgeonnx.model import Model
from tests.convert.conftest import framework

sklearn = framework("sklearn")
cluster, compose, ensemble = (framework(f"sklearn.{name}") for name in ("cluster", "compose", "ensemble"))
preprocessing, svm, pipeline = (framework(f"sklearn.{name}") for name in ("preprocessing", "svm", "pipeline"))
linear_model = framework("sklearn.linear_model")
framework("skl2onnx")
skops = framework("skops.io")
joblib = framework("joblib")
pandas = framework("pandas")
pytestmark = pytest.mark.slow

X, Y = framework("sklearn.datasets").load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]
CLASSES = ["label: int64[?]", "probabilities: float32[?,3]"]
SCORES = ["label: int64[?]", "scores: float32[?,3]"]
CASES = {
    "random forest": (ensemble.RandomForestClassifier(10, random_state=0), Y, CLASSES),
    "gradient boosting": (ensemble.GradientBoostingClassifier(n_estimators=10, random_state=0), Y, CLASSES),
    "histogram boosting": (ensemble.HistGradientBoostingClassifier(max_iter=10), Y, CLASSES),
    "support vectors": (svm.SVC(), Y, SCORES),
    "linear support vectors": (svm.LinearSVC(), Y, SCORES),
    "a pipeline": (pipeline.make_pipeline(preprocessing.StandardScaler(), svm.SVC()), Y, SCORES),
    "a network": (
        framework("sklearn.neural_network").MLPClassifier((8,), max_iter=400, tol=0.01, random_state=0),
        Y,
        CLASSES,
    ),
    "names of classes": (
        linear_model.LogisticRegression(max_iter=400),
        NAMES,
        ["label: str[?]", "probabilities: float32[?,3]"],
    ),
    "k-means": (cluster.KMeans(3, random_state=0), None, ["label: int64[?]", "scores: float32[?,3]"]),
    "regression": (linear_model.LinearRegression(), Y, ["variable: float32[?,1]"]),
    "a forest that regresses": (ensemble.RandomForestRegressor(5, random_state=0), Y, ["variable: float32[?,1]"]),
    "principal components": (framework("sklearn.decomposition").PCA(2), None, ["variable: float32[?,2]"]),
    "outliers": (ensemble.IsolationForest(random_state=0), None, ["label: int64[?,1]", "scores: float32[?,1]"]),
}


@pytest.mark.parametrize(("estimator", "targets", "outputs"), CASES.values(), ids=CASES)
def test_an_estimator(estimator, targets, outputs):
    result = edgeonnx.convert(estimator.fit(X, targets), X, dynamic=["X:0=rows"])
    assert [str(one) for one in result.inputs] == ["X: float32[rows,4]"]
    assert [str(one).replace("rows", "?") for one in result.outputs] == outputs
    assert result.sizes == {"rows": (150, 151)}
    assert all(one.unequal == 0 for one in result.differences if one.output == "label")
    assert all(one.relative < 1e-5 for one in result.differences)


@pytest.fixture(scope="module")
def people():
    rng = np.random.default_rng(0)
    columns = {"age": rng.normal(40, 10, 200), "sex": rng.choice(["f", "m"], 200), "deck": rng.choice([1, 2, 3], 200)}
    return pandas.DataFrame(columns)


def test_columns_of_several_types(people):
    numbers = pipeline.make_pipeline(framework("sklearn.impute").SimpleImputer(), preprocessing.StandardScaler())
    texts = preprocessing.OneHotEncoder(handle_unknown="ignore")
    columns = compose.ColumnTransformer([("n", numbers, ["age"]), ("t", texts, ["sex", "deck"])])
    fitted = pipeline.make_pipeline(columns, linear_model.LogisticRegression()).fit(people, people.age > 40)
    given = {name: people[name].to_numpy() for name in people}
    for examples in (None, given):
        result = edgeonnx.convert(fitted, examples)
        assert [str(one) for one in result.inputs] == ["age: float32[?,1]", "sex: str[?,1]", "deck: int64[?,1]"]
        assert result.problems == ()
    with pytest.raises(ConvertError, match="the example inputs lack sex, deck"):
        edgeonnx.convert(fitted, {"age": given["age"]})


def test_columns_by_place(people):
    columns = compose.ColumnTransformer(
        [("n", preprocessing.StandardScaler(), [0]), ("t", preprocessing.OneHotEncoder(), [1])]
    )
    fitted = pipeline.make_pipeline(columns, linear_model.LogisticRegression()).fit(
        people[["age", "sex"]].to_numpy(), people.age > 40
    )
    result = edgeonnx.convert(fitted)
    assert [str(one) for one in result.inputs] == ["x0: float32[?,1]", "x1: str[?,1]"]


def test_a_table(people):
    columns = compose.ColumnTransformer([("n", preprocessing.StandardScaler(), ["age", "rank"])])
    table = people.assign(rank=np.arange(len(people)))
    fitted = pipeline.make_pipeline(columns, linear_model.LogisticRegression()).fit(table, people.age > 40)
    result = edgeonnx.convert(fitted, table)
    assert [str(one) for one in result.inputs] == [
        "age: float32[?,1]",
        "sex: str[?,1]",
        "deck: float32[?,1]",
        "rank: float32[?,1]",
    ]
    assert result.notes[0].startswith("sex, deck: no output depends on it")
    assert not result.noise


TEXTS = ["ein Haus a am See", "am Haus", "See und Meer", "Über dem Meer"] * 5


@pytest.mark.parametrize(
    ("name", "settings"),
    [("TfidfVectorizer", {}), ("CountVectorizer", {"ngram_range": (1, 2)}), ("TfidfVectorizer", {"lowercase": False})],
)
def test_texts(name, settings):
    vectorizer = getattr(framework("sklearn.feature_extraction.text"), name)(**settings)
    fitted = pipeline.make_pipeline(vectorizer, linear_model.LogisticRegression()).fit(TEXTS, np.arange(20) % 2)
    for examples in (None, np.array(TEXTS)):
        result = edgeonnx.convert(fitted, examples)
        assert [str(one) for one in result.inputs] == ["X: str[?,1]"]
        assert max(one.relative for one in result.differences) < 1e-5
    columns = compose.ColumnTransformer([("t", vectorizer, "text"), ("n", preprocessing.StandardScaler(), ["n"])])
    table = pandas.DataFrame({"text": TEXTS, "n": np.arange(20.0)})
    fitted = pipeline.make_pipeline(columns, linear_model.LogisticRegression()).fit(table, np.arange(20) % 2)
    assert [str(one) for one in edgeonnx.convert(fitted).inputs] == ["text: str[?,1]", "n: float32[?,1]"]


@pytest.mark.parametrize(
    "estimator",
    [svm.SVC(), svm.LinearSVC(), linear_model.RidgeClassifier(), linear_model.Perceptron()],
    ids=lambda one: type(one).__name__,
)
def test_scores_of_two_classes(estimator):
    """The columns are of the first class and of the second, whichever estimator gives them."""
    fitted = pipeline.make_pipeline(preprocessing.StandardScaler(), estimator).fit(X, Y > 1)
    result = edgeonnx.convert(fitted, X)
    assert [one.name for one in result.outputs] == ["label", "scores"]
    scores = result.model.session().run(["scores"], {"X": X.astype(np.float32)})[0]
    np.testing.assert_allclose(scores[:, -1], fitted.decision_function(X), rtol=1e-4, atol=1e-4)


def test_several_targets():
    many = framework("sklearn.multioutput").MultiOutputClassifier(linear_model.LogisticRegression(max_iter=400))
    result = edgeonnx.convert(many.fit(X, np.stack([Y, Y > 1], axis=1)), X)
    assert [one.name for one in result.outputs] == ["label", "probabilities_0", "probabilities_1"]


def test_shapes_that_skl2onnx_states_wrongly():
    regression = framework("sklearn.cross_decomposition").PLSRegression(2).fit(X, Y.astype(float))
    assert [str(one) for one in edgeonnx.convert(regression, X).outputs] == ["variable: float32[?,1]"]


def test_rows_that_say_little():
    result = edgeonnx.convert(ensemble.RandomForestClassifier(5, random_state=0).fit(X + 100, Y))
    assert result.noise
    assert result.notes == (
        "label, probabilities: the same for all samples, so hardly compared; --data with others says more",
    )


@pytest.mark.parametrize(
    ("estimator", "said"),
    [
        (preprocessing.KBinsDiscretizer(3), "set encode='onehot-dense'"),
        (preprocessing.FunctionTransformer(np.log1p), "compute it before the model"),
        (framework("sklearn.gaussian_process").GaussianProcessClassifier(), r"Solve \(node \w+\)"),
    ],
)
def test_what_mends_it_is_said(estimator, said):
    with pytest.raises(ConvertError, match=said):
        edgeonnx.convert(estimator.fit(X[40:60], Y[40:60]))


@pytest.fixture
def fitted():
    return pipeline.make_pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression()).fit(X, Y)


def test_a_skops_file(fitted, tmp_path):
    skops.dump(fitted, tmp_path / "m.skops")
    data = {"X": X.astype(np.float32)[:, None]}
    result = edgeonnx.convert(tmp_path / "m.skops", output=tmp_path / "m.onnx", data=data, samples=10)
    assert result.samples == 12
    assert Model.load(result.output).opset == 18


class Mine(preprocessing.StandardScaler):
    """A type that skops does not know."""


def test_a_skops_file_of_unknown_types(tmp_path):
    skops.dump(pipeline.make_pipeline(Mine(), linear_model.LogisticRegression()).fit(X, Y), tmp_path / "m.skops")
    with pytest.raises(ConvertError, match=r"holds types that can run code .*test_sklearn\.Mine; .* add --trust"):
        edgeonnx.convert(tmp_path / "m.skops")
    with pytest.raises(ConvertError, match=r"skl2onnx has no converter for tests\.convert\.test_sklearn\.Mine"):
        edgeonnx.convert(tmp_path / "m.skops", trust=True)


@pytest.mark.parametrize("name", ["m.pkl", "m.joblib"])
def test_a_pickle(fitted, tmp_path, name):
    if name == "m.pkl":
        (tmp_path / name).write_bytes(pickle.dumps(fitted))
    else:
        joblib.dump(fitted, tmp_path / name)
    with pytest.raises(ConvertError, match=r"a pickle runs the code that is in it; .* add --trust"):
        edgeonnx.convert(tmp_path / name)
    assert edgeonnx.convert(tmp_path / name, trust=True).problems == ()


def test_a_pickle_of_another_release(fitted, tmp_path):
    fitted[0].__dict__["_sklearn_version"] = "0.1"
    text = pickle.dumps(fitted).replace(sklearn.__version__.encode(), b"0" * (len(sklearn.__version__) - 2) + b".1")
    (tmp_path / "m.pkl").write_bytes(text)
    notes = edgeonnx.convert(tmp_path / "m.pkl", trust=True).notes
    assert "from version" in notes[0]
    assert sklearn.__version__ in notes[0]


@pytest.mark.parametrize("name", ["text.pkl", "text.skops"])
def test_a_file_that_is_none(tmp_path, name):
    (tmp_path / name).write_text("To be fitted on Monday.")
    with pytest.raises(ConvertError, match=r"text\.\w+ can't be read as a"):
        edgeonnx.convert(tmp_path / name, trust=True)


def test_a_pickle_of_something_else(tmp_path):
    (tmp_path / "m.pkl").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ConvertError, match="expected a scikit-learn estimator, got dict"):
        edgeonnx.convert(tmp_path / "m.pkl", trust=True)


@pytest.mark.parametrize(
    ("estimator", "said"),
    [
        (ensemble.RandomForestClassifier(), "is not fitted yet"),
        (cluster.DBSCAN().fit(X), r"skl2onnx has no converter for sklearn\.cluster\._dbscan\.DBSCAN"),
        (
            framework("sklearn.feature_extraction").DictVectorizer().fit([{"a": 1}]),
            "DictVectorizer does not say how many features it takes",
        ),
    ],
)
def test_what_can_not_be_converted(estimator, said):
    with pytest.raises(ConvertError, match=said) as caught:
        edgeonnx.convert(estimator)
    assert len(str(caught.value).splitlines()) == 1
