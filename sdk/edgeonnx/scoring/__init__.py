"""What accuracy means: top-1 against labels, agreement with the float model, or a metric of the user's own."""

from edgeonnx.scoring.agreement import Agreement
from edgeonnx.scoring.metric import Feeds, Metric, Outputs, Predict
from edgeonnx.scoring.top1 import Top1
from edgeonnx.scoring.user import UserMetric, load_metric

__all__ = ["Agreement", "Feeds", "Metric", "Outputs", "Predict", "Top1", "UserMetric", "load_metric"]
