"""Attention while a model learns in bfloat16."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 -- torch's own name for it

from medsegany.training._attention import attention_for

CPU = torch.device("cpu")


def attended(dtype):
    query = torch.randn(1, 2, 5, 8, generator=torch.Generator().manual_seed(0), requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16), attention_for(CPU, dtype):
        narrow = F.linear(query, torch.eye(8))
        return query, narrow, F.scaled_dot_product_attention(narrow, narrow, value=narrow)


def test_on_a_cpu_it_is_in_float32_and_all_else_is_not():
    query, narrow, found = attended(torch.bfloat16)
    assert (narrow.dtype, found.dtype) == (torch.bfloat16, torch.float32)
    wide = narrow.detach().float()
    assert torch.equal(found, F.scaled_dot_product_attention(wide, wide, wide))
    found.sum().backward()
    assert query.grad.abs().sum() > 0


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_float32_and_gpus_are_left_alone(device):
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    with attention_for(torch.device(device), dtype), torch.autocast("cpu", dtype=torch.bfloat16):
        query = torch.randn(1, 2, 5, 8)
        assert F.scaled_dot_product_attention(query, query, query).dtype == torch.bfloat16
