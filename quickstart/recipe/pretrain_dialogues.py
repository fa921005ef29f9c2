"""Makes the model of the flows Critic, Debate and Planner and Solver: see the README beside this file."""

from __future__ import annotations

from quickstart.recipe.flow_dialogues import draw_flow_dialogues, flow_vocabulary
from quickstart.recipe.pretrain import Pretraining, arguments, pretrain
from quickstart.recipe.tokenizer import build_tokenizer


def main() -> None:
    parser = arguments(__doc__, out="quickstart/dialogue_model", steps=4000, batch_size=32)
    args = parser.parse_args()
    how = Pretraining(args.steps, args.batch_size, args.learning_rate, args.seed)
    pretrain(args.out, draw_flow_dialogues(args.seed), build_tokenizer(flow_vocabulary()), how)


if __name__ == "__main__":
    main()
