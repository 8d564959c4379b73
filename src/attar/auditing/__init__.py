"""Audits of trained models: how translation-invariant, where it is lost, what is dead."""
