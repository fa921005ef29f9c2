"""Makes the chains' model: see docs/worlds.md."""

from __future__ import annotations

from quickstart.recipe.chains.dialogues import chain_vocabulary, draw_chain_dialogues
from quickstart.recipe.chains.world import LONGEST
from quickstart.recipe.pretrain import Pretraining, arguments, pretrain
from quickstart.recipe.tokenizer import build_tokenizer


def main() -> None:
    parser = arguments(__doc__, out="runs/chains/model", steps=3000, batch_size=32)
    parser.add_argument("--layers", type=int, default=2, help="of the model")
    parser.add_argument("--longest", type=int, default=LONGEST, help="steps of a story at most")
    args = parser.parse_args()
    how = Pretraining(args.steps, args.batch_size, args.learning_rate, args.seed, args.layers)
    pretrain(
        args.out, draw_chain_dialogues(args.seed, args.longest), build_tokenizer(chain_vocabulary()), how
    )


if __name__ == "__main__":
    main()
