"""Runs in an msst environment, in the engine's folder: writes a checkpoint of random weights for a config."""

from __future__ import annotations

import importlib
import sys

import torch

model_type, config_path, checkpoint_path, form = sys.argv[1:]
torch.manual_seed(1)
model, _ = importlib.import_module("utils.settings").get_model_from_config(model_type, config_path)
# Freshly made models are close to silent, or to the identity: spread the weights so that every part is heard.
state = {
    name: value + 0.05 * torch.randn_like(value) if torch.is_tensor(value) and value.is_floating_point() else value
    for name, value in model.state_dict().items()  # some variants keep more than tensors there
}
forms = {"plain": state, "nested": {"state_dict": state}, "full": {"model_state_dict": state, "epoch": 3}}
torch.save(forms[form], checkpoint_path)
