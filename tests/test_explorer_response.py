"""How long it takes from a change of the kernel until the maps of it are on the screen."""

import numpy as np
import pytest

from attar.explorer.app import State

EDITS = 21
# The goals are those of two cores that do nothing else; a test run shares its cores with others.
SPARE = 3

# Sets a cell as a person who types does, and waits until the next picture of the screen after the
# answer to exactly this edit was painted.
MEASURE = """async edits => {
    const room = document.querySelector('extract-room');
    const cell = document.querySelector('kernel-grid [role=gridcell]:nth-child(2) input');
    const times = [];
    for (let i = 0; i < edits; i++) {
        await new Promise(resolve => requestAnimationFrame(() => setTimeout(resolve)));
        const began = performance.now();
        cell.value = String(-2 - i / 100);
        cell.dispatchEvent(new Event('input', {bubbles: true}));
        await Promise.resolve();
        const number = Number(room.dataset.asked);
        await new Promise(resolve => {
            const heard = event => {
                if (event.detail < number) return;
                room.removeEventListener('painted', heard);
                resolve();
            };
            room.addEventListener('painted', heard);
        });
        times.push(performance.now() - began);
    }
    return [times, room.choices.kernel];
}"""


@pytest.mark.parametrize(("size", "goal"), [(512, 50), (2048, 120)])
@pytest.mark.parametrize("channels", [1, 3])
def test_from_an_edit_to_the_painted_maps(explore, size, goal, channels, capsys):
    shape = (size, size, channels) if channels > 1 else (size, size)
    state = State()
    noise = np.random.default_rng(1).random(shape, dtype=np.float32)
    key = state.pictures.add(noise, "noise").key
    page = explore(f"extract?image={key}&kernel=edge", state=state)
    page.wait_for_function(
        "() => { const {asked, painted} = document.querySelector('extract-room')?.dataset ?? {};"
        " return asked && asked === painted; }"
    )
    page.evaluate(MEASURE, 3)  # warm
    times, kernel = page.evaluate(MEASURE, EDITS)
    assert kernel.split(",")[1] == f"{-2 - (EDITS - 1) / 100:g}"
    median = float(np.median(times))
    with capsys.disabled():
        print(f"\n{size} × {size} × {channels}: {median:.0f} ms (median of {EDITS}; goal {goal})")
    assert median < SPARE * goal
