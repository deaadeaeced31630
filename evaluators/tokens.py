TOKENIZER = "ptb-1"
def tokenize(sentences):
    return [s.lower() for s in sentences]
